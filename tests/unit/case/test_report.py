from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from collector.case import report, rows, wording
from collector.case.folder import CaseFolder
from collector.case.journal import GENESIS, Entry
from collector.case.story import Story, tone

NOW = datetime(2026, 11, 21, 3, 12, 44, tzinfo=UTC)
HOSTILE = (
    "<script>x</script> \"'><img src=x onerror=y> | `a` [l](http://evil) _e_ *b* \x1b[2J\u202e\udcff\n# h"
)

EVENTS: dict[str, dict[str, object]] = {
    "case.opened": {"host": "db01", "address": "192.0.2.10", "operator": "alex", "dry_run": False},
    "stage.started": {"stage": "probe"},
    "observation": {
        "round": "1", "protocol": "ssh", "address": "192.0.2.10", "port": 22, "reach": "connected",
        "seconds": 3.5, "evidence": {"waited": "banner"},
    },
    "controller": {"round": "1", "controller": "ipmi://192.0.2.110:623", "power": "on", "crash": None},
    "diagnosis": {"round": "1", "diagnosis": "hung-software", "reason": "ssh is stuck"},
    "stage.ended": {"stage": "probe", "outcome": "success", "detail": "", "seconds": 3.6},
    "check": {"check": "power", "level": "warning", "reason": "x", "remedy": "run `this`", "accepted": True},
    "confirmation": {"by": "alex", "how": "typed the name"},
    "claim": {"attempt": 1, "controller": "ipmi://192.0.2.110:623", "way": "ipmi"},
    "trigger": {"attempt": 1, "outcome": "sent", "detail": "acknowledged", "seconds": 0.2},
    "sighting": {"elapsed": 5.0, "power": "on", "ping": "silent", "services": ["ssh"], "note": "n"},
    "crash.seen": {"reason": "a crash screen"},
    "send.again": {"reason": "proved lost"},
    "dump.found": {"path": "/var/crash/1/vmcore", "bytes": 2048, "modified": 1.0},
    "dump.looked": {"path": "/var/crash/1/vmcore", "state": "truncated", "reason": "it is cut"},
    "copy.started": {"path": "/var/crash/1/vmcore", "bytes": 2048, "offset": 1024},
    "artifact": {
        "path": "data/dump/1/vmcore", "bytes": 2048, "sha256": "ab" * 32,
        "source": "/var/crash/1/vmcore", "kind": "dump",
    },
    "dump.checked": {
        "path": "data/dump/1/vmcore", "complete": True, "state": "complete", "format": "kdump",
        "reason": "readable", "remedy": "", "note": "",
    },
    "triage": {
        "source": "data/logs/kd.log", "sha256": "ab" * 32, "suspect": "driver FooDrv", "sureness": "high",
        "why": "every step is stated", "chains": [["a waits for b", "b waits", "1 thread(s) wait"]],
        "findings": ["deadlock: 2 threads"], "missing": ["!locks"], "next_steps": ["Run `!locks`."],
    },
    "artifact.missing": {"name": "screen", "source": "s", "outcome": "skipped", "detail": "nobody has it"},
    "dump.unfinished": {"path": "/var/crash/1/vmcore-incomplete", "bytes": 5, "modified": 1.0},
    "dump.none": {"reason": "no reboot"},
    "host.record": {
        "provider": "volmgr", "id": 161, "at": "2026-11-21 03:20 UTC", "explains": True,
        "means": "a dump could not be written",
    },
    "interrupted": {"signal": "SIGINT"},
    "resumed": {"by": "alex"},
    "journal.torn": {"file": "journal.torn-1", "bytes": 5, "sha256": "00"},
    "export.folder": {"name": "c-logs", "folder": "C:\\ProgramData\\hang-collector\\c-logs"},
    "export.made": {"path": "/C:/a/System.evtx", "bytes": 69632, "since": "2026-11-18T03:12:44.000Z"},
    "export.left": {"folder": "C:\\ProgramData\\hang-collector\\c-logs", "detail": "it is in use"},
    "export.removed": {"folder": "C:\\ProgramData\\hang-collector\\c-logs"},
    "an.event.of.tomorrow": {"what": "something new"},
    "case.closed": {"outcome": "success", "detail": "the dump is home", "hint": "", "code": ""},
}  # fmt: skip


def entries(*events: str | tuple[str, dict[str, object]]) -> list[Entry]:
    """A journal of these events, one every ten seconds; a tuple overrides some of an event's data."""
    told = []
    for seq, event in enumerate(events, 1):
        name, data = (event, {}) if isinstance(event, str) else event
        utc = (NOW + timedelta(seconds=10 * (seq - 1))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told.append(Entry(seq, utc, seq * 10.0, name, {**EVENTS[name], **data}, GENESIS, GENESIS))
    return told


def headline(*events: str | tuple[str, dict[str, object]]) -> str:
    return Story("c", entries(*events)).headline


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def rendered(text: str) -> list[Any]:
    """Every token of the Markdown, inline ones included, by a CommonMark parser with tables."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [inner for token in tokens for inner in [token, *(token.children or [])]]


HUNG = ("case.opened", "observation", "diagnosis")
SENT = (*HUNG, "claim", "trigger")


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((), "Nothing is written down yet."),
        (("case.opened",), "db01 was not examined yet; no NMI was sent."),
        (("case.opened", "crash.seen"), "db01 crashed by itself; no NMI was sent."),
        (HUNG, "db01 hung: its kernel answered, its services did not; no NMI was sent."),
        (
            ("case.opened", ("diagnosis", {"diagnosis": "responsive"}), "case.closed"),
            "db01 is not hung; no NMI was sent.",
        ),
        ((("case.opened", {"dry_run": True}), *HUNG[1:]), "Dry run: db01 hung: "),
        ((*HUNG, "claim"), "nobody can say whether the NMI arrived; no dump was seen yet."),
        ((*HUNG, "claim", ("trigger", {"outcome": "uncertain"})), "nobody can say whether the NMI arrived"),
        (
            (*HUNG, "claim", ("trigger", {"outcome": "not sent"})),
            "did not; the controller refused to send an NMI.",
        ),
        ((*HUNG, "claim", "dump.found"), "the controller never acknowledged the NMI; a dump was found"),
        (SENT, "one NMI was sent; no dump was seen yet."),
        ((*SENT, "dump.none"), "one NMI was sent; no dump came of it."),
        (
            (*SENT, "dump.none", "host.record"),
            "one NMI was sent; no dump came of it: a dump could not be written (volmgr 161).",
        ),
        ((*SENT, "dump.none", ("host.record", {"explains": False})), "no dump came of it."),
        ((*SENT, "dump.found"), "a dump was found and is not home yet."),
        ((*SENT, "dump.found", "dump.looked"), "a dump was found and is not home yet."),
        ((*SENT, "dump.found", "artifact"), "a dump is home and not checked yet."),
        ((*SENT, "dump.found", "artifact", "dump.checked"), "the dump (2.0 KiB) is home and complete."),
        (
            (*SENT, "dump.found", "artifact", ("dump.checked", {"state": "truncated", "remedy": "Do this."})),
            "a dump is home, but it is truncated. Do this.",
        ),
        (
            (*SENT, "dump.found", "artifact", ("dump.checked", {"state": "stale"})),
            "a dump is home, but it is of another crash.",
        ),
        (
            (*SENT, "dump.found", "artifact", ("dump.checked", {"state": "of tomorrow"})),
            "it is no dump that can be read.",
        ),
        (
            (*SENT, "dump.none", "send.again", ("claim", {"attempt": 2}), ("trigger", {"attempt": 2})),
            "2 NMIs were sent; no dump came of it.",
        ),
        ((*SENT, ("diagnosis", {"diagnosis": "responsive"})), "db01 hung: its kernel answered"),
    ],
)
def test_the_headline_tells_the_case_in_one_sentence(events: tuple[Any, ...], says: str) -> None:
    assert says in headline(*events)


@pytest.mark.parametrize("stage", range(len(EVENTS) + 1))
def test_a_report_can_be_written_at_every_stage(stage: int) -> None:
    told = entries(*list(EVENTS)[:stage])
    page = Page(report.html("2026-11-21T0312Z-db01", told))
    assert not page.open and "h1" in page.tags
    assert report.markdown("2026-11-21T0312Z-db01", told).startswith("# ")


def test_an_entry_with_nothing_in_it_is_told_too() -> None:
    bare = [Entry(e.seq, e.utc, e.monotonic, e.event, {}, e.prev, e.hash) for e in entries(*EVENTS)]
    Page(report.html("c", bare))
    report.markdown("c", bare)


def test_both_reports_hold_every_fact() -> None:
    told = entries(*EVENTS)
    page = " ".join(" ".join(Page(report.html("the-case", told)).words).split())
    text = " ".join(token.content for token in rendered(report.markdown("the-case", told)))
    facts = [
        "the-case", "db01", "192.0.2.10", "alex", "ssh is stuck", "waited banner", "ipmi://192.0.2.110:623",
        "acknowledged", "typed the name", "a crash screen", "proved lost", "/var/crash/1/vmcore", "2.0 KiB",
        "ab" * 32, "readable", "nobody has it", "SIGINT", "journal.torn-1", "something new",
        "an.event.of.tomorrow", "the dump is home", "-01:20", "+00:10", "vmcore-incomplete", "accepted",
        "volmgr 161", "2026-11-21 03:20 UTC",
    ]  # fmt: skip
    for fact in facts:
        assert fact in page, fact
        assert fact in text, fact


def hostile_entries() -> list[Entry]:
    def poison(value: object) -> object:
        if isinstance(value, str):
            return HOSTILE
        return (
            {HOSTILE: HOSTILE} if isinstance(value, dict) else [HOSTILE] if isinstance(value, list) else value
        )

    return [
        Entry(e.seq, e.utc, e.monotonic, e.event, {k: poison(v) for k, v in e.data.items()}, e.prev, e.hash)
        for e in entries(*EVENTS)
    ]


def test_hostile_text_in_every_field_does_nothing_in_html() -> None:
    html = report.html(HOSTILE, hostile_entries())
    page = Page(html)
    assert not page.tags & {"script", "img", "iframe", "object", "link", "base", "form", "svg"}
    assert not [
        name for name, _ in page.attributes if name.startswith("on") or name in ("src", "srcset", "style")
    ]
    assert [value for name, value in page.attributes if name == "href"] == []
    assert not page.open
    assert all(char.isprintable() or char == "\n" for char in html)
    html.encode("utf-8")


def test_hostile_text_in_every_field_does_nothing_in_markdown() -> None:
    calm = {token.type for token in rendered(report.markdown("c", entries(*EVENTS)))}
    text = report.markdown(HOSTILE, hostile_entries())
    assert {token.type for token in rendered(text)} <= calm
    assert not calm & {"link_open", "image", "html_inline", "html_block", "em_open"}
    assert all(char.isprintable() or char == "\n" for char in text)
    columns = [row.count("|") - row.count("\\|") for row in text.splitlines() if row.startswith("| ")]
    assert set(columns) <= {3, 4, 5, 6, 7}, "no cell was split"


def test_the_page_needs_no_network_and_may_not_use_any() -> None:
    html = report.html("c", entries(*EVENTS))
    assert "default-src 'none'" in html
    assert "url(" not in html and "@import" not in html and "http" not in html.replace("http-equiv", "")


def test_only_paths_that_this_program_makes_become_links() -> None:
    paths = [
        "data/logs/a.txt",
        "javascript:alert(1)",
        "data/../../etc/passwd",
        "/etc/passwd",
        "data/logs/a b",
    ]
    told = entries(*[("artifact", {"path": path, "kind": "log"}) for path in paths])
    links = [value for name, value in Page(report.html("c", told)).attributes if name == "href"]
    assert links == ["data/logs/a.txt"]


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_itself_in_a_markdown_cell(text: str) -> None:
    line = wording.shown(text)
    for cell, kind in [(wording.markdown(line), "text"), (wording.code(line), "code_inline")]:
        inline = rendered(f"| a | b |\n|---|---|\n| x{cell}x | y |\n")
        content = "".join(token.content for token in inline if token.type in ("text", "text_special", kind))
        assert content == f"abx{line}xy"


def test_what_came_home_later_is_not_missing() -> None:
    told = entries(
        ("artifact.missing", {"name": "data/dump/1/vmcore", "outcome": "timeout"}),
        ("artifact.missing", {"name": "dump/1/vmcore", "outcome": "timeout"}),  # as the copy names it
        ("artifact.missing", {"name": "dmesg.txt", "outcome": "timeout"}),
        "artifact",
        ("artifact", {"path": "data/logs/dmesg.txt"}),
        ("artifact.missing", {"name": "dmesg.txt (whole)", "outcome": "failed"}),
        ("artifact.missing", {"name": "screen", "outcome": "skipped"}),
    )
    assert [row.name for row in rows.missing(told)] == ["dmesg.txt (whole)", "screen"]


def test_looks_that_saw_the_same_are_one_row() -> None:
    looks = [("sighting", {"elapsed": 5.0 * n, "services": ["ssh"] if n > 7 else []}) for n in range(10)]
    found = rows.sightings(entries(*looks))
    assert [(row.when, row.looks, row.services) for row in found] == [
        ("+00:00 to +00:35", 8, ""),
        ("+00:40 to +00:45", 2, "ssh"),
    ]


def test_checks_stand_worst_first_and_the_latest_counts() -> None:
    told = entries(
        *[("check", {"check": c, "level": v}) for c, v in [("a", "critical"), ("b", "ok"), ("c", "unknown")]],
        ("check", {"check": "d", "level": "critical"}),
        ("check", {"check": "a", "level": "ok"}),
    )
    assert [(row.check, row.level) for row in rows.checks(told)] == [
        ("d", "critical"),
        ("c", "unknown"),
        ("a", "ok"),
        ("b", "ok"),
    ]


@pytest.mark.parametrize(
    ("events", "says"),
    [
        (HUNG, "hang-collector resume"),
        ((*HUNG, "claim", "case.closed"), "Send no other NMI"),
        (
            (*SENT, "dump.found", "artifact", "dump.checked", "case.closed"),
            "crash VMLINUX data/dump/1/vmcore",
        ),
        ((*HUNG, "check", "case.closed"), "power: run `this`"),
        ((*HUNG, ("case.closed", {"hint": "Do that."})), "Do that."),
    ],
)
def test_the_reader_is_told_what_to_do_next(events: tuple[Any, ...], says: str) -> None:
    assert any(says in step for step in Story("c", entries(*events)).next_steps)


def test_a_word_that_nobody_foresaw_is_bad_news() -> None:
    assert (tone("success"), tone("uncertain"), tone("denied"), tone("?")) == ("good", "warn", "bad", "bad")


@pytest.mark.parametrize(
    ("seconds", "length", "point"),
    [
        (0.0004, "0.4 ms", "+00:00"),
        (3.5, "3.5 s", "+00:04"),
        (59.9, "59.9 s", "+01:00"),
        (185, "3 min 05 s", "+03:05"),
        (7620, "2 h 07 min", "+2:07:00"),
        (3599.9, "1 h 00 min", "+1:00:00"),
    ],
)
def test_times_are_written_as_people_say_them(seconds: float, length: str, point: str) -> None:
    assert wording.span(seconds) == length
    assert wording.offset(seconds) == point
    assert wording.offset(-seconds) == (point.replace("+", "-") if round(seconds) else point)


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (26_434_562, "25.2 MiB"),
        (2**40, "1.0 TiB"),
        (2**60, "1048576.0 TiB"),
    ],
)
def test_sizes_are_written_as_people_say_them(count: int, says: str) -> None:
    assert wording.size(count) == says


def test_write_report_writes_both(tmp_path: Path) -> None:
    case = CaseFolder.create(tmp_path, "db01", NOW)
    report.write_report(case)
    case.journal.append("case.opened", host="db01", dry_run=True)
    case.journal.append("diagnosis", round="1", diagnosis="degraded", reason="\u00fc \udcff")
    report.write_report(case)
    assert "Dry run: db01 is degraded, not hung" in (case.path / "report.md").read_text("utf-8")
    assert "Dry run: db01 is degraded, not hung" in (case.path / "report.html").read_text("utf-8")
    assert "\u00fc \\udcff" in (case.path / "report.html").read_text("utf-8")
