from __future__ import annotations

import sys
from pathlib import Path

import pytest

from collector.errors import DumpError, MissingExtraError
from collector.render.triage import as_json, as_table
from collector.run.triage import CaseTriage
from collector.triage.vmcore import triage_memory, triage_vmcore
from tests.unit.triage.linux_image import Image, kallsyms, printk_ring

TEXT = 0xFFFFFFFF81000000
LOG = [(1_000_000_000, "Kernel panic - not syncing: NMI: Not continuing")]


def test_a_kernel_without_types_still_tells_its_log_and_says_what_is_missing() -> None:
    image = Image()
    info = kallsyms(image, {"_stext": TEXT}) | printk_ring(image, LOG)
    found = triage_memory(image, info)
    assert found.panic
    assert found.panic.reason == "NMI: Not continuing"
    assert found.tasks == ()
    (missing,) = found.missing
    assert missing.startswith("tasks, stacks, locks, load and memory: ")
    assert "no __start_BTF" in missing


def test_a_dump_that_says_nothing_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    dump = triage_memory(Image(), {})
    assert len(dump.missing) == 2
    found = CaseTriage(vmcore=(Path("vmcore"), dump))
    as_table(found)
    assert "missing: the kernel log" in capsys.readouterr().out
    as_json(found)
    assert '"hang-collector/triage-linux/1"' in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"KDUMP   " + bytes(8000), b"no dump at all\n"])
def test_a_file_that_is_no_dump_gives_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("drgn", reason="drgn has wheels for Linux only")
    path = tmp_path / "vmcore"
    path.write_bytes(content)
    with pytest.raises(DumpError, match="cannot be opened as a Linux dump"):
        triage_vmcore(path)


def test_without_drgn_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "drgn", None)
    with pytest.raises(MissingExtraError) as error:
        triage_vmcore(tmp_path / "vmcore")
    assert "hang-collector[linux-triage]" in error.value.hint
