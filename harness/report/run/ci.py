"""The verdict for CI: JUnit XML, and annotations of GitHub Actions."""

from collections.abc import Iterator

from harness.analysis.run.failures import failure_causes
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import label_of, tags_of
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import invalidates, stopped_by_slo
from harness.core.metrics import title_of
from harness.report.ci import Suite, annotation
from harness.report.glossary import capital
from harness.report.summary_text import evidence, limit_text, observed_text


def render_junit(analysis: Analysis) -> bytes:
    """Return JUnit XML, UTF-8: a test case for each objective and one for the run's validity."""
    record, summary = analysis.record, analysis.summary
    name = f"{record.workload.get('name', 'run')} on {record.target.get('name', 'target')}"
    attributes = {"time": f"{record.ended_s:.3f}"}
    if started := str(record.run.get("started_at") or "").removesuffix("Z"):
        attributes["timestamp"] = started
    tags = {f"tag.{key}": tag for key, tag in tags_of(record.run).items()}
    suite = Suite(name, {"label": label_of(record.run), **tags}, attributes)
    _add_validity(suite, summary, record.run)
    causes = "\n".join(failure_causes(record.errors))
    for slo in summary["slos"]:
        _add_objective(suite, slo, causes)
    return suite.document()


def _add_validity(suite: Suite, summary: Json, run: Json) -> None:
    """Add the case for the validity of the run."""
    cause = run.get("cause")
    reasons = [str(cause["message"])] if cause else []
    if stopped_by_slo(run):  # Its figure may be inside the limit again at the end.
        suite.failed("objectives", "no objective stops the run", "fail", reasons.pop())
    reasons += [
        "{code}: observed {observed}, limit {limit}; {hint}".format_map(warning)
        for warning in summary["warnings"]
        if invalidates(warning)
    ]
    if reasons:
        suite.broken("validity", "the run is valid", "invalid", reasons)
    else:
        suite.passed("validity", "the run is valid")


def _add_objective(suite: Suite, slo: Json, causes: str) -> None:
    """Add the case of one SLO, with why joins and publishes failed; no data is a failure too."""
    rule = f"{slo['metric']} {slo['op']} {slo['limit']:g}{scope_words(slo)}"
    if slo["verdict"] == "pass":
        suite.passed("objectives", rule)
        return
    message = f"{title_of(slo['metric'])}{scope_words(slo)}: {_missed(slo)}"
    suite.failed("objectives", rule, slo["verdict"], message, causes)


def _missed(slo: Json) -> str:
    observed = "no data" if slo["observed"] is None else observed_text(slo)
    return f"{observed}, where {limit_text(slo)} is required"


def annotations(summary: Json, run: Json) -> Iterator[str]:
    """Yield a workflow command of GitHub Actions for each objective missed and each warning.

    The objective that stopped a run may be met again at its end.
    """
    if stopped_by_slo(run):
        yield annotation("error", "Stopped by an objective", run["cause"]["message"])
    for slo in summary["slos"]:
        if slo["verdict"] != "pass":
            name = capital(title_of(slo["metric"])) + scope_words(slo)
            yield annotation("error", name, _missed(slo))
    for warning in summary["warnings"]:
        kind = "error" if invalidates(warning) else "warning"
        message = f"{warning['code']}{evidence(warning)}. {warning['hint'] or ''}"
        yield annotation(kind, capital(warning["code"].replace("_", " ")), message.rstrip())
