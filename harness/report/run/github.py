"""A verdict as GitHub Actions shows it: annotations on the run.

Source: docs.github.com, "Workflow commands for GitHub Actions": ``::error title=…::message``, with
percent signs and line ends escaped in both, and colons and commas in properties.
"""

from collections.abc import Iterator

from harness.analysis.run.record import Json
from harness.analysis.run.slo import scope_words
from harness.analysis.run.validity import invalidates
from harness.core.metrics import title_of
from harness.report.glossary import capital
from harness.report.summary_text import evidence, limit_words, observed_words


def annotations(summary: Json) -> Iterator[str]:
    """Yield a workflow command for each objective missed and each warning."""
    for slo in summary["slos"]:
        if slo["verdict"] != "pass":
            name = capital(title_of(slo["metric"])) + scope_words(slo)
            observed = "no data" if slo["observed"] is None else observed_words(slo)
            yield _command("error", name, f"{observed}, where {limit_words(slo)} is required")
    for warning in summary["warnings"]:
        kind = "error" if invalidates(warning) else "warning"
        message = f"{warning['code']}{evidence(warning)}. {warning['hint'] or ''}"
        yield _command(kind, capital(warning["code"].replace("_", " ")), message.rstrip())


def _command(kind: str, title: str, message: str) -> str:
    name = _escape(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
