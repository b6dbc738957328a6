"""A Windows machine on Hyper-V from the hang to the case: WinRM, Hyper-V and SMB as one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pytest import CaptureFixture

from collector.case.folder import CaseFolder, find
from collector.cli.app import run
from collector.cli.exit_codes import ExitCode
from tests.demos.hyperv import HypervLab, hyperv_lab
from tests.peers.samba import Smbd
from tests.peers.wsman import PASSWORD

REPOSITORY = Path(__file__).resolve().parents[2]


def collect(lab: HypervLab, *options: str) -> tuple[int, CaseFolder]:
    code = run(("collect", "sql01", "--config", str(lab.settings), *options))
    (case,) = find(lab.settings.parent / "cases")
    return code, CaseFolder.open(case)


def test_one_nmi_brings_memory_dmp_home(tmp_path: Path, capfd: CaptureFixture[str]) -> None:
    with hyperv_lab(tmp_path, dumps_for=1.0) as lab:
        assert run(("audit", "sql01", "--config", str(lab.settings))) in (0, 1)
        lab.guest.hang()
        code, case = collect(lab, "--confirm", "sql01")
        assert lab.guest.nmis == 1
        dump = (lab.guest.drive / "Windows" / "MEMORY.DMP").read_bytes()
        secrets = (PASSWORD, lab.guest.smb.password if lab.guest.smb else "")
    assert code == 0, capfd.readouterr().out
    assert (case.path / "data" / "dump" / "Windows" / "MEMORY.DMP").read_bytes() == dump
    logs = case.path / "data" / "logs"
    assert (logs / "System.evtx").read_bytes() == b"ElfFile\0a disk timed out\nvolmgr 162"
    assert (logs / "Whea.evtx").read_bytes() == b"ElfFile\0a bus error"
    missing = {str(entry.data["name"]) for entry in case.journal.all("artifact.missing")}
    assert {"Cluster.evtx", "Cluster.log"} <= missing, "it is no node of a cluster"
    assert lab.guest.exports.folders == []
    assert (case.path / "data" / "evidence" / "before-screen.png").read_bytes().startswith(b"\x89PNG")
    (checked,) = [entry.data for entry in case.journal.entries() if entry.event == "dump.checked"]
    assert checked["state"] == "complete"
    said = capfd.readouterr()
    texts = [file.read_bytes() for file in case.path.rglob("*") if file.is_file()]
    texts += [said.out.encode(), said.err.encode()]
    assert not any(secret.encode() in text for secret in secrets for text in texts)


def test_the_dump_of_a_host_that_runs_no_commands_comes_home_over_smb_alone(tmp_path: Path) -> None:
    with hyperv_lab(tmp_path, dumps_for=1.0) as lab:
        smb_alone(lab)
        lab.guest.hang()
        code, case = collect(lab, "--confirm", "sql01")
        assert lab.guest.nmis == 1
        dump = (lab.guest.drive / "Windows" / "MEMORY.DMP").read_bytes()
    assert code == ExitCode.PARTIAL, "the logs that only commands give are missing"
    assert (case.path / "data" / "dump" / "Windows" / "MEMORY.DMP").read_bytes() == dump


def smb_alone(lab: HypervLab) -> None:
    text = lab.settings.read_text(encoding="utf-8")
    (channels,) = (line for line in text.splitlines() if line.strip().startswith("channels:"))
    alone = "    channels: [" + channels[channels.index("{type: smb") :]
    assert "winrm" not in alone
    lab.settings.write_text(text.replace(channels, alone), encoding="utf-8")


def test_a_host_that_finds_its_domain_some_time_after_the_boot_is_waited_for(tmp_path: Path) -> None:
    with hyperv_lab(tmp_path, dumps_for=1.0) as lab:
        smb_alone(lab)
        text = lab.settings.read_text(encoding="utf-8")
        user = f"username: {lab.guest.smb.user}, password: file:{tmp_path}/guest/smb" if lab.guest.smb else ""
        assert user in text
        lab.settings.write_text(text.replace(user, user.replace(": ", ": CORP\\", 1)), encoding="utf-8")
        with without_domain_controller(lab.guest.smb):
            lab.guest.hang()
            code, case = collect(lab, "--confirm", "sql01")
        assert lab.guest.nmis == 1
    assert code == ExitCode.PARTIAL, "the logs that only commands give are missing"
    notes = [str(entry.data["note"]) for entry in case.journal.all("sighting")]
    assert any("no domain controller answers the host" in note for note in notes)
    assert (case.path / "data" / "dump" / "Windows" / "MEMORY.DMP").exists()


@contextlib.contextmanager
def without_domain_controller(smb: Smbd | None) -> Iterator[None]:
    """Let smbd be a domain's member that finds no controller, until it has said so to somebody twice."""
    assert smb is not None
    text = smb.config.read_text(encoding="utf-8")
    smb.config.write_text(text.replace("[global]", "[global]\nsecurity = domain\nworkgroup = CORP", 1))
    os.kill(smb.pid, signal.SIGHUP)

    def find_one() -> None:
        while smb.log.read_text(errors="replace").count("status [NT_STATUS_NO_LOGON_SERVERS]") < 2:
            if over.wait(0.1):
                return
        smb.config.write_text(text, encoding="utf-8")
        os.kill(smb.pid, signal.SIGHUP)

    over, finding = threading.Event(), threading.Thread(target=find_one)
    finding.start()
    try:
        yield
    finally:
        over.set()
        finding.join()


def test_a_dump_that_windows_could_not_write_is_explained_by_windows(tmp_path: Path) -> None:
    with hyperv_lab(tmp_path, dumps_for=1.0) as lab:
        run(("audit", "sql01", "--config", str(lab.settings)))
        lab.guest.dumps = False
        soon = int(time.time()) + 10
        lab.guest.recorded = {
            "dump_events": [{"id": 161, "time": soon, "values": ["\\Device\\HarddiskVolume3", "0x00000053"]}],
            "bug_checks": [{"id": 1001, "time": soon, "values": ["0x00000080 (0x0, 0x0, 0x0, 0x0)"]}],
        }
        lab.guest.hang()
        code, case = collect(lab, "--confirm", "sql01")
    assert code == ExitCode.NO_DUMP
    why = "a dump could not be written, BugCheckProgress 0x00000053 (volmgr 161)"
    closed = case.journal.last("case.closed")
    assert closed is not None
    assert f"without leaving a dump; Windows itself says: {why}" in str(closed.data["detail"])
    text = (case.path / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert f"no dump came of it: {why}" in text
    assert "NMI_HARDWARE_FAILURE" in text
    assert (case.path / "data" / "logs" / "System.evtx").is_file()
    assert lab.guest.exports.folders == []


def test_killed_between_an_export_and_its_way_home_it_goes_on_and_leaves_nothing_there(
    tmp_path: Path,
) -> None:
    with hyperv_lab(tmp_path, dumps_for=1.0) as lab:
        run(("audit", "sql01", "--config", str(lab.settings)))
        lab.guest.hang()
        killed = [sys.executable, "-m", "tests.scenarios.killed_cli", "after:export.made", "collect", "sql01"]
        ended = subprocess.run(
            [*killed, "--confirm", "sql01", "--config", str(lab.settings)],
            cwd=REPOSITORY, capture_output=True, timeout=100, check=False,
        )  # fmt: skip
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        (path,) = find(lab.settings.parent / "cases")
        assert lab.guest.exports.folders == [f"{path.name}-logs"]
        assert run(("resume", str(path), "--config", str(lab.settings))) == 0
        assert lab.guest.nmis == 1
        assert lab.guest.exports.folders == []
    logs = path / "data" / "logs"
    assert (logs / "System.evtx").read_bytes() == b"ElfFile\0a disk timed out\nvolmgr 162"
    assert (logs / "Whea.evtx").read_bytes() == b"ElfFile\0a bus error"


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    with hyperv_lab(tmp_path) as lab:
        run(("audit", "sql01", "--config", str(lab.settings)))
        lab.guest.hang()
        code, case = collect(lab, "--dry-run")
        assert lab.guest.nmis == 0
        assert lab.guest.exports.asked == []
    assert code == 0
    assert not [entry for entry in case.journal.entries() if entry.event == "claim"]
