"""Each report, judged by a reader that is not ours."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml
from prometheus_client.parser import text_string_to_metric_families

from collector.errors import StorageError
from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.render.html_audit import page
from collector.render.junit import junit
from collector.render.prometheus import metrics
from collector.render.reports import FORMATS, Report, worst_first
from tests.unit.fleet.audits import MIDNIGHT, audit, check

HOSTILE = "\x1b[2J\x00\ufffe </details><script>alert(1)</script> \"'&amp; \\n\n{{ 7*7 }} ]]>\u202e"

FLEET = [
    audit("web01", check("nmi", Level.OK)),
    audit("web02", check("nmi", Level.OK), reason="web01 is ok"),
    audit("db01", check("nmi", Level.CRITICAL, HOSTILE), level=Level.CRITICAL, reason=HOSTILE),
    audit("db02", level=Level.UNKNOWN, outcome=Outcome.UNREACHABLE),
    audit("db03", check("space", Level.WARNING), check("nmi", Level.UNKNOWN), level=Level.WARNING),
]


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_every_host() -> None:
    found = samples(metrics(FLEET))
    verdicts = {key[1]: value for key, value in found.items() if key[0] == "hang_collector_host_verdict"}
    assert verdicts == {"web01": 0, "web02": 0, "db01": 2, "db02": 3, "db03": 1}
    assert found["hang_collector_host_answered", "db02"] == 0
    assert found["hang_collector_audit_timestamp_seconds", "db01"] == MIDNIGHT.timestamp()
    assert found["hang_collector_dump_estimated_bytes", "db01"] == 2**30


def test_prometheus_has_no_family_without_help_and_type() -> None:
    for family in text_string_to_metric_families(metrics(FLEET)):
        assert family.type == "gauge"
        assert family.documentation
        assert all(sample.timestamp is None for sample in family.samples)


def test_junit_has_a_suite_a_host_and_counts_what_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "audit.xml"
    path.write_bytes(junit(FLEET))
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(path))}
    assert list(suites) == [one.host for one in FLEET]
    counted = {name: (suite.tests, suite.failures, suite.errors) for name, suite in suites.items()}
    assert counted == {
        "web01": (1, 0, 0), "web02": (1, 0, 0), "db01": (1, 1, 0), "db02": (1, 0, 1), "db03": (2, 1, 1),
    }  # fmt: skip
    for name, suite in suites.items():
        kinds = [type(result).__name__ for case in suite for result in case.result]
        assert (kinds.count("Failure"), kinds.count("Error")) == counted[name][1:]


def test_numbers_in_names_are_sorted_as_such() -> None:
    rows = [audit(name) for name in ("web10", "web9", "db", "10", "web9-2", "web9-10")]
    assert [one.host for one in worst_first(rows)] == ["10", "db", "web9", "web9-2", "web9-10", "web10"]


def test_html_is_valid_loads_nothing_and_runs_nothing() -> None:
    text = page(worst_first(FLEET), MIDNIGHT)
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root: Any = parser.parse(text)
    assert [one.get("id") for one in root.iter("div") if one.get("id")] == [
        "db01",
        "db03",
        "db02",
        "web01",
        "web02",
    ]
    tags = {element.tag for element in root.iter() if isinstance(element.tag, str)}
    assert tags.isdisjoint({"script", "img", "link", "iframe", "object", "form", "base"})
    links = [a.get("href") for a in root.iter("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in text for link in links)
    assert "49" not in "".join(root.find("body").itertext())
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "4 of 5 answered" in text


@settings(deadline=None)
@given(st.text())
def test_no_text_from_a_host_breaks_a_report(reason: str) -> None:
    one = audit("db01", check("nmi", Level.CRITICAL, reason), reason=reason)
    assert len(samples(metrics([one]))) == 6
    JUnitXml.fromstring(junit([one]))
    html5lib.HTMLParser(namespaceHTMLElements=False).parse(page([one], MIDNIGHT))


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_replaces_the_one_before_and_leaves_nothing_beside(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hang.prom"
    path.write_text("old")
    Report(name, path).write(FLEET)
    assert "db02" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["hang.prom"]
    if sys.platform != "win32":
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_a_report_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path: Path) -> None:
    taken = tmp_path / "folder"
    (taken / "inside").mkdir(parents=True)
    for path in (tmp_path / "no" / "such" / "audit.html", taken):
        with pytest.raises(StorageError, match="cannot be written"):
            Report("html", path).write(FLEET)
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_is_not_there_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    Report("json", tmp_path / "out.json").check()
    with pytest.raises(StorageError, match="its folder is not there"):
        Report("json", tmp_path / "no" / "out.json").check()
    assert list(tmp_path.iterdir()) == []


def test_the_json_report_says_who_answered(tmp_path: Path) -> None:
    Report("json", tmp_path / "out.json").write(FLEET)
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["schema"] == "hang-collector/audit/1"
    assert [(row["host"], row["answered"]) for row in document["hosts"]][:2] == [
        ("db01", True),
        ("db03", True),
    ]
    assert document["answered"] == 4


@pytest.mark.parametrize("text", ["", "json", "json:", "pdf:out.pdf", ":out", "JSON:out.json"])
def test_what_is_no_report_is_refused_with_the_formats(text: str) -> None:
    with pytest.raises(ValueError, match="FORMAT:PATH"):
        Report.parse(text)


def test_a_path_may_hold_colons() -> None:
    assert Report.parse(r"html:C:\audits\hang.html") == Report("html", Path(r"C:\audits\hang.html"))
