from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.adapters.answers import CommandResult
from collector.adapters.base import PowerShell
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.facts import windows
from collector.model.fact import Facts, number, value

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)
ANSWERS = sorted(Path(__file__).with_name("windows").glob("*.json"))


class Host:
    """A shell that gives one answer, and remembers how it was asked."""

    def __init__(
        self, stdout: bytes, stderr: bytes = b"", exit_status: int = 0, *, cut: bool = False
    ) -> None:
        self.result = CommandResult(exit_status, stdout, stderr, truncated=cut)
        self.arguments: Mapping[str, str] = {}

    def powershell(
        self,
        script: str,
        deadline: Deadline,
        *,
        arguments: Mapping[str, str] = MappingProxyType({}),
        limit: int = 0,
    ) -> CommandResult:
        assert script == windows.SCRIPT
        assert limit <= 1024 * 1024
        assert not deadline.expired
        self.arguments = arguments
        return self.result


def answer(facts: Mapping[str, object], missing: Mapping[str, object] | None = None) -> bytes:
    return json.dumps({"facts": facts, "missing": missing or {}}).encode()


def told(name: str) -> Facts:
    return windows.parse((Path(__file__).parent / "windows" / f"{name}.json").read_bytes(), "winrm", NOW)


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_every_windows_gives_every_fact_or_its_reason(path: Path) -> None:
    host = Host(path.read_bytes())
    assert isinstance(host, PowerShell)
    facts = windows.gather_all(host, "winrm", Deadline.after(60))
    assert set(facts) == windows.NAMES
    for fact in facts.values():
        assert (fact.value is None) == bool(fact.missing), fact
        assert fact.missing in ("", "absent", "denied", "timed out", "unsupported"), fact
    assert value(facts, "clock") == "1794354000"


def test_there_is_an_answer_of_each_windows() -> None:
    versions = {value(told(path.stem), "os_version") for path in ANSWERS}
    assert {"6.1.7601", "6.3.9600", "10.0.14393", "10.0.17763", "10.0.20348", "10.0.26100"} <= versions
    assert {"10.0.19045", "10.0.22631"} <= versions


def test_a_run_asks_few_things_and_names_uptime_and_clock() -> None:
    host = Host((Path(__file__).parent / "windows" / "2016.json").read_bytes())
    facts = windows.gather(host, "winrm", Deadline.after(60))
    assert set(facts) == set(windows.FEW)
    assert (number(facts, "uptime"), number(facts, "clock")) == (864000, 1794354000)
    assert value(facts, "dump_writer") is None
    assert host.arguments["Depth"] == "few"
    assert 30 < int(host.arguments["Seconds"]) < 45


def test_the_process_that_still_writes_the_dump_is_named() -> None:
    facts = windows.parse(answer({"dump_writer": ["WerFault.exe"]}), "winrm", NOW)
    assert value(facts, "dump_writer") == "WerFault.exe"


def test_numbers_stay_numbers_and_flags_are_one_or_zero() -> None:
    assert value(told("2016"), "ram_installed") == str(512 * 1024**3)
    facts = windows.parse(answer({"ram_installed": 5.49755813888e11, "administrator": True}), "winrm", NOW)
    assert (value(facts, "ram_installed"), value(facts, "administrator")) == ("549755813888", "1")


def test_texts_of_the_hosts_language_arrive_whole() -> None:
    assert "\\u" not in (value(told("2022-japanese"), "dump_file") or "")
    [row, _] = [json.loads(line) for line in (value(told("2012r2-korean"), "cluster_vms") or "").splitlines()]
    assert row == {"name": "가상 컴퓨터 회계", "check_heartbeat": "1"}


def test_errors_become_reasons_by_category_and_id() -> None:
    facts = told("denied")
    assert facts["page_files"].missing == "denied"
    assert facts["bug_checks"].missing == "denied"
    assert facts["guarded_host"].missing == "denied"
    assert facts["volumes"].missing == "timed out"
    assert facts["services"].missing == "timed out"
    assert facts["cluster_vms"].missing == "unsupported"
    assert facts["ram_installed"].missing == "absent"
    assert told("2008r2")["boot_disks"].missing == "absent"


def test_an_error_of_no_known_id_is_its_own_reason() -> None:
    facts = windows.parse(answer({}, {"volumes": "ResourceBusy HRESULT 0x80041045"}), "winrm", NOW)
    assert facts["volumes"].missing == "ResourceBusy HRESULT 0x80041045"
    assert windows.parse(answer({}, {"volumes": 7}), "winrm", NOW)["volumes"].missing


def test_one_item_is_a_list_of_one_however_powershell_wraps_it() -> None:
    row = {"path": "C:\\pagefile.sys", "allocated_mb": 1024, "temporary": False}
    wrapped = ([row], row, {"value": [row], "Count": 1})
    texts = {value(windows.parse(answer({"page_files": one}), "winrm", NOW), "page_files") for one in wrapped}
    assert texts == {'{"allocated_mb": "1024", "path": "C:\\\\pagefile.sys", "temporary": "0"}'}


@pytest.mark.parametrize(
    ("name", "given_value"),
    [
        ("uptime", "864000"),
        ("uptime", True),
        ("uptime", 1e400),
        ("uptime", 10**30),
        ("uptime", [1, 2]),
        ("os_version", 10),
        ("os_version", {"a": "b"}),
        ("page_file_automatic", "True"),
        ("page_file_automatic", 2),
        ("dump_filters", 3),
        ("volumes", "C:\\"),
        ("volumes", [None, 1, "x", [], {"path": 1}]),
        ("bug_checks", [{"ID": 1}]),
    ],
)
def test_a_value_of_the_wrong_kind_is_no_value(name: str, given_value: object) -> None:
    fact = windows.parse(answer({name: given_value}), "winrm", NOW)[name]
    assert (fact.value, fact.missing) == (None, "no answer of its kind")


def test_what_is_not_there_is_absent() -> None:
    facts = windows.parse(answer({"filter_pages": None, "dump_files": [], "dump_file": ""}), "winrm", NOW)
    assert {fact.missing for fact in facts.values()} == {"absent"}


def test_hostile_texts_stay_one_line_of_bounded_length() -> None:
    text = "a\nb\u2028c\ud800" + "x" * 10_000
    facts = windows.parse(answer({"model": text, "dump_filters": [text] * 600}), "winrm", NOW)
    for name in ("model", "dump_filters"):
        found = value(facts, name) or ""
        assert len(found.splitlines()) == 1
        assert len(found.encode()) < 10_000
    assert len((value(facts, "model") or "").split()) == 3


def test_names_that_nobody_asked_for_are_left_out() -> None:
    assert windows.parse(answer({"x": 1, "CLOCK": 1}, {"y": "z"}), "winrm", NOW) == {}


def test_a_banner_before_the_answer_does_not_matter() -> None:
    output = "Willkommen\r\n{ kein JSON }\r\n".encode("utf-16-le") + b"\n{noise}\n" + answer({"clock": 5})
    assert value(windows.parse(output, "winrm", NOW), "clock") == "5"
    assert value(windows.parse(b"\xef\xbb\xbf" + answer({"clock": 5}), "winrm", NOW), "clock") == "5"


@pytest.mark.parametrize(
    "output",
    [b"", b"{", b"[]", b"{}", b'{"facts": 3, "missing": []}', b"\0" * 99, b"{" * 100_000, b'{"a":' * 9999],
)
def test_an_answer_without_facts_is_refused(output: bytes) -> None:
    with pytest.raises(PeerFailedError, match="no facts"):
        windows.gather_all(Host(output), "winrm", Deadline.after(60))


def test_the_refusal_says_what_the_host_said_and_what_it_takes() -> None:
    host = Host(b"", b"The term 'ConvertTo-Json' is not recognized", 1)
    with pytest.raises(PeerFailedError, match=r"exit status 1.*ConvertTo-Json") as refused:
        windows.gather(host, "winrm", Deadline.after(60))
    assert "PowerShell 3.0" in (refused.value.hint or "")


def test_an_answer_that_was_cut_off_is_refused() -> None:
    with pytest.raises(PeerFailedError, match="more than"):
        windows.gather_all(Host(answer({"clock": 1})[:-5], cut=True), "winrm", Deadline.after(60))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(windows.NAMES)), JSON), st.dictionaries(st.text(), JSON))
def test_no_answer_of_a_host_is_more_than_facts(facts: dict[str, object], missing: dict[str, object]) -> None:
    for fact in windows.parse(answer(facts, missing), "winrm", NOW).values():
        assert (fact.value is None) == bool(fact.missing)
        (fact.value or "").encode()


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_facts(output: bytes) -> None:
    assert windows.parse(output, "winrm", NOW) == {}
