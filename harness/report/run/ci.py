"""The verdict for CI: JUnit XML, and annotations of GitHub Actions."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from harness.analysis.run.failures import failure_causes
from harness.analysis.run.finalize import Analysis
from harness.analysis.run.record import Json
from harness.analysis.run.run_file import label_of, tags_of
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import invalidates
from harness.core.metrics import title_of
from harness.report.glossary import capital
from harness.report.summary_text import evidence, limit_text, observed_text

_FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2, Char)."""


def render_junit(analysis: Analysis) -> bytes:
    """Return JUnit XML, UTF-8: a test case for each objective and one for the run's validity."""
    record, summary = analysis.record, analysis.summary
    name = f"{record.workload.get('name', 'run')} on {record.target.get('name', 'target')}"
    suite = ET.Element("testsuite", name=_clean(name), time=f"{record.ended_s:.3f}")
    started = str(record.run.get("started_at") or "").removesuffix("Z")
    if started:
        suite.set("timestamp", started)
    _add_properties(suite, record.run)
    causes = "\n".join(failure_causes(record.errors))
    problems = [
        _validity(suite, summary, record.run),
        *(_objective(suite, slo, causes) for slo in summary["slos"]),
    ]
    suite.set("tests", str(len(problems)))
    suite.set("failures", str(problems.count("failure")))
    suite.set("errors", str(problems.count("error")))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_properties(suite: ET.Element, run: Json) -> None:
    """Add label and tags, which have to come before the cases."""
    found = {"label": label_of(run), **{f"tag.{key}": tag for key, tag in tags_of(run).items()}}
    if not any(found.values()):
        return
    properties = ET.SubElement(suite, "properties")
    for name, value in found.items():
        if value:
            ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))


def _validity(suite: ET.Element, summary: Json, run: Json) -> str | None:
    """Add the case for the validity of the run."""
    case = ET.SubElement(suite, "testcase", classname="validity", name="the run is valid")
    cause = run.get("cause")
    reasons = [str(cause["message"])] if cause else []
    reasons += [
        "{code}: observed {observed}, limit {limit}; {hint}".format_map(warning)
        for warning in summary["warnings"]
        if invalidates(warning)
    ]
    if not reasons:
        return None
    error = ET.SubElement(case, "error", type="invalid", message=_clean(reasons[0]))
    error.text = _clean("\n".join(reasons))
    return "error"


def _objective(suite: ET.Element, slo: Json, causes: str) -> str | None:
    """Add the case of one SLO, with what joins and publishes failed of; no data is a failure."""
    rule = f"{slo['metric']} {slo['op']} {slo['limit']:g}{scope_words(slo)}"
    case = ET.SubElement(suite, "testcase", classname="objectives", name=_clean(rule))
    if slo["verdict"] == "pass":
        return None
    message = f"{title_of(slo['metric'])}{scope_words(slo)}: {_missed(slo)}"
    failure = ET.SubElement(case, "failure", type=slo["verdict"], message=_clean(message))
    failure.text = _clean(causes) or None
    return "failure"


def _missed(slo: Json) -> str:
    observed = "no data" if slo["observed"] is None else observed_text(slo)
    return f"{observed}, where {limit_text(slo)} is required"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def annotations(summary: Json) -> Iterator[str]:
    """Yield a workflow command of GitHub Actions for each objective missed and each warning.

    Source: docs.github.com, "Workflow commands for GitHub Actions": ``::error title=…::message``,
    with percent signs and line ends escaped in both, and colons and commas in properties.
    """
    for slo in summary["slos"]:
        if slo["verdict"] != "pass":
            name = capital(title_of(slo["metric"])) + scope_words(slo)
            yield _command("error", name, _missed(slo))
    for warning in summary["warnings"]:
        kind = "error" if invalidates(warning) else "warning"
        message = f"{warning['code']}{evidence(warning)}. {warning['hint'] or ''}"
        yield _command(kind, capital(warning["code"].replace("_", " ")), message.rstrip())


def _command(kind: str, title: str, message: str) -> str:
    name = _escape(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
