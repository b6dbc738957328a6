"""Audits as JUnit XML, for whatever shows test results: a host is a suite, a check is a case.

The schema is that of the Jenkins JUnit plugin (`junit-10.xsd`). What does not hold is a failure; what nobody
could tell is an error, so that a missing answer never looks like a good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from collector.model.audit import HostAudit
from collector.model.verdict import Level
from collector.render.text import printable

_ELEMENTS = {Level.CRITICAL: "failure", Level.WARNING: "failure", Level.UNKNOWN: "error"}


def junit(audits: Sequence[HostAudit]) -> bytes:
    """The document, in UTF-8."""
    root = ET.Element("testsuites", name="hang-collector audit")
    for one in audits:
        _suite(root, one)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(root: ET.Element, one: HostAudit) -> None:
    levels = [verdict.level for verdict in one.verdicts] or [one.level]
    suite = ET.SubElement(
        root,
        "testsuite",
        name=one.host,
        timestamp=one.time.strftime("%Y-%m-%dT%H:%M:%S"),
        tests=str(len(levels)),
        failures=str(_count(levels, "failure")),
        errors=str(_count(levels, "error")),
        skipped="0",
        time="0",
    )
    for verdict in one.verdicts:
        text = "\n".join(line for line in (verdict.remedy, *verdict.commands, verdict.source) if line)
        _case(suite, f"{verdict.id}: {verdict.title}", verdict.level, verdict.reason, text)
    if not one.verdicts:  # a host without checks is a row all the same
        _case(suite, "audit", one.level, one.reason, "")


def _case(suite: ET.Element, name: str, level: Level, reason: str, text: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=suite.get("name", ""), name=printable(name), time="0")
    if level in _ELEMENTS:
        problem = ET.SubElement(case, _ELEMENTS[level], type=str(level), message=printable(reason))
        problem.text = printable(text)


def _count(levels: Iterable[Level], element: str) -> int:
    return sum(_ELEMENTS.get(level) == element for level in levels)
