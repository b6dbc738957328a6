from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.facts import linux, store
from collector.model.fact import number, value

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)


def test_the_command_works_in_a_real_shell_and_gives_every_fact_or_its_reason() -> None:
    output = subprocess.run(linux.COMMAND, shell=True, capture_output=True, check=True).stdout
    facts = linux.parse(output, "ssh", NOW)
    assert set(facts) == {*linux._FILES, "release", "clock"}
    assert value(facts, "boot_id") == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (number(facts, "uptime") or 0) > 0
    assert abs((number(facts, "clock") or 0) - datetime.now(UTC).timestamp()) < 60
    assert all((fact.value is None) == bool(fact.missing) for fact in facts.values())


def test_an_absent_file_is_missing_with_its_reason() -> None:
    facts = linux.parse(b"kexec_crash_loaded!absent\nunknown_nmi_panic!denied\nuptime=\n", "ssh", NOW)
    assert facts["kexec_crash_loaded"].missing == "absent"
    assert facts["unknown_nmi_panic"].missing == "denied"
    assert facts["uptime"].missing == "empty"


@given(st.binary(max_size=500))
def test_no_output_of_a_host_is_more_than_facts(output: bytes) -> None:
    for fact in linux.parse(output, "ssh", NOW).values():
        assert (fact.value is None) == bool(fact.missing)
        number({fact.name: fact}, fact.name)


def test_facts_are_recalled_as_they_were_recorded(tmp_path: Path) -> None:
    facts = linux.parse(b"kexec_crash_loaded=1\nunknown_nmi_panic!denied\n", "ssh", NOW)
    store.record(tmp_path, "db01", facts)
    assert store.recorded(tmp_path, "db01") == facts
    assert store.recorded(tmp_path, "db02") == {}


def test_newer_facts_replace_older_ones_and_leave_the_others(tmp_path: Path) -> None:
    store.record(tmp_path, "db01", linux.parse(b"kexec_crash_loaded=1\nrelease=5.14.0\n", "ssh", NOW))
    store.record(tmp_path, "db01", linux.parse(b"kexec_crash_loaded=0\n", "ssh", NOW))
    recorded = store.recorded(tmp_path, "db01")
    assert value(recorded, "kexec_crash_loaded") == "0"
    assert value(recorded, "release") == "5.14.0"


def test_a_damaged_record_is_the_same_as_none(tmp_path: Path) -> None:
    store.record(tmp_path, "db01", {})
    for text in ("", "{", "[1]", json.dumps([{"name": "x"}])):
        (tmp_path / ".facts" / "db01.json").write_text(text)
        assert store.recorded(tmp_path, "db01") == {}
