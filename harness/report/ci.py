"""What pipelines read: JUnit XML, and annotations of GitHub Actions."""

import re
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

_FORBIDDEN: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2, Char)."""


class Suite:
    """One suite of test cases.

    Args:
        properties: Facts about what was tested; empty ones are left out.
        attributes: Further attributes of the suite, such as ``time``.
    """

    def __init__(
        self, name: str, properties: Mapping[str, str], attributes: Mapping[str, str]
    ) -> None:
        self._suite = ET.Element("testsuite", {"name": _clean(name), **attributes})
        known = {key: value for key, value in properties.items() if value}
        if known:  # They have to come before the cases.
            group = ET.SubElement(self._suite, "properties")
            for key, value in known.items():
                ET.SubElement(group, "property", name=_clean(key), value=_clean(value))

    def passed(self, classname: str, name: str, said: str = "") -> None:
        """Add a case that passed; ``said`` is its output."""
        case = self._case(classname, name)
        if said:
            ET.SubElement(case, "system-out").text = _clean(said)

    def failed(self, classname: str, name: str, kind: str, message: str, text: str = "") -> None:
        """Add a case that failed; ``text`` is what is known beside the message."""
        case = self._case(classname, name)
        failure = ET.SubElement(case, "failure", type=kind, message=_clean(message))
        failure.text = _clean(text) or None

    def broken(self, classname: str, name: str, kind: str, reasons: list[str]) -> None:
        """Add a case that could not be judged; the first reason is its message."""
        case = self._case(classname, name)
        error = ET.SubElement(case, "error", type=kind, message=_clean(reasons[0]))
        error.text = _clean("\n".join(reasons))

    def _case(self, classname: str, name: str) -> ET.Element:
        return ET.SubElement(self._suite, "testcase", classname=classname, name=_clean(name))

    def document(self) -> bytes:
        """Return the document, UTF-8."""
        for count, path in (("tests", "."), ("failures", "failure"), ("errors", "error")):
            cases = [case for case in self._suite.iter("testcase") if case.find(path) is not None]
            self._suite.set(count, str(len(cases)))
        root = ET.Element("testsuites")
        root.append(self._suite)
        ET.indent(root)
        document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return document + b"\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def annotation(kind: str, title: str, message: str) -> str:
    """Return a workflow command of GitHub Actions; the kind is error, warning or notice.

    Source: docs.github.com, "Workflow commands for GitHub Actions": ``::error title=…::message``,
    with percent signs and line ends escaped in both, and colons and commas in properties.
    """
    name = _escape(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={name}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
