"""The command line against the lab's real protocols: bad input and bad luck end in words, hints and codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from collector.case.folder import CaseFolder, find
from collector.case.manifest import verify
from collector.cli.exit_codes import ExitCode
from collector.lab.crash import Reaction, Script
from collector.lab.demo import Lab, lab

QUICK = {
    "rounds: 2, pause: 1s, deadline: 3s": "rounds: 1, pause: 0s, deadline: 1s",
    "wait:      {deadline: 60s, every: 0.5s, grace: 5s}": "wait: {deadline: WAIT, every: 0.2s, grace: 0.5s}",
    "[/var/crash/*/vmcore]": "[/var/crash/*/vmcore, /var/crash/*/vmcore.*, /var/crash/*/dump.*]",
}


def quicken(one: Lab, wait: str = "60s") -> None:
    """Short pauses, and a deadline that a loaded machine keeps, too, unless the whole of it must pass."""
    playbook = one.settings.parent / "playbooks" / "linux-kdump.yaml"
    text = playbook.read_text()
    for slow, quick in QUICK.items():
        assert slow in text
        text = text.replace(slow, quick.replace("WAIT", wait))
    playbook.write_text(text)


def cli(one: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("hang-collector")
    return subprocess.run(
        [script, *arguments, "--config", one.settings],
        capture_output=True, text=True, timeout=100, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def collect(one: Lab, *options: str, wait: str = "60s") -> subprocess.CompletedProcess[str]:
    quicken(one, wait)
    one.host.hang()
    return cli(one, "collect", "db01", "--confirm", "db01", *options)


def the_case(one: Lab) -> CaseFolder:
    (path,) = find(one.settings.parent / "cases")
    return CaseFolder.open(path)


@pytest.mark.parametrize(
    ("reaction", "code", "words"),
    [
        (Reaction.NOTHING, ExitCode.TIMED_OUT, "nothing changed after the NMI"),
        (Reaction.NO_DUMP, ExitCode.NO_DUMP, "without leaving a dump"),
        (Reaction.INCOMPLETE, ExitCode.NO_DUMP, "was not finished"),
    ],
)
def test_what_comes_of_the_nmi_has_a_code_of_its_own(
    tmp_path: Path, reaction: Reaction, code: ExitCode, words: str
) -> None:
    with lab(tmp_path / "lab", Script(on_nmi=reaction)) as one:
        done = collect(one, wait="4s" if reaction is Reaction.NOTHING else "60s")
        assert done.returncode == code, done.stdout + done.stderr
        assert words in " ".join(done.stdout.split())
        assert "next:" in done.stdout
        assert one.host.nmis == 1
        assert verify(the_case(one).path).ok


def test_an_sftp_connection_that_is_cut_is_taken_up_again(tmp_path: Path) -> None:
    with lab(tmp_path / "lab", Script(sftp_cut_at=3_000_000)) as one:
        done = collect(one)
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        (dump,) = the_case(one).path.glob("data/dump/*/vmcore")
        assert dump.read_bytes().startswith(b"KDUMP   ")


def test_hostile_names_beside_the_dump_stay_inside_and_do_nothing(tmp_path: Path) -> None:
    with lab(tmp_path / "lab", Script(hostile_names=True)) as one:
        done = collect(one)
        case = the_case(one)
        # Some of those files match the dump's patterns and are no dumps: the case is partial, and says so.
        assert done.returncode in (ExitCode.COMPLETE, ExitCode.PARTIAL), done.stdout + done.stderr
        assert not [c for c in done.stdout + done.stderr if not c.isprintable() and c != "\n"]
        assert verify(case.path).ok
        assert list(case.path.glob("data/dump/*/vmcore"))
        names = [path.name for path in tmp_path.rglob("*")]
        assert not [name for name in names if not name.isprintable() or name == "evil"]


def test_a_wrong_password_is_tried_once_and_nothing_is_sent(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        (one.settings.parent / "bmc-password").write_text("wrong")
        done = collect(one)
        assert done.returncode == ExitCode.REFUSED, done.stdout + done.stderr
        assert "password" in done.stdout
        assert one.bmc.arrived(0, 2) == 0
        assert len(one.bmc.logins) <= 2  # RAKP messages 1 and 3 of one attempt
        assert the_case(one).journal.last("claim") is None


def test_an_unknown_host_key_is_refused_with_the_command_that_adds_it(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        known = one.host.known_hosts.read_text()
        one.host.known_hosts.write_text("")
        done = collect(one)
        assert done.returncode == ExitCode.DENIED, done.stdout + done.stderr
        assert "ssh-keyscan" in done.stdout
        one.host.known_hosts.write_text(known)
        resumed = cli(one, "resume", str(the_case(one).path))
        assert resumed.returncode == ExitCode.COMPLETE, resumed.stdout + resumed.stderr
        assert one.host.nmis == 1


def test_a_host_key_that_nobody_verifies_is_said_aloud_and_written_down(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        one.host.known_hosts.write_text("")
        loud = one.settings.read_text().replace(
            "type: ssh,", "type: ssh, insecure_accept_any_host_key: true,"
        )
        one.settings.write_text(loud)
        assert "NOT verified" in cli(one, "probe", "db01").stderr
        done = collect(one)
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        assert done.stderr.count("NOT verified") == 1
        assert the_case(one).journal.last("notice") is not None


def test_a_dry_run_and_a_probe_change_nothing_on_any_machine(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        boot_id = one.host.boot_id
        done = collect(one, "--dry-run")
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        assert cli(one, "probe", "db01").returncode == ExitCode.COMPLETE
        assert one.bmc.arrived(0, 2) == 0
        assert (one.host.nmis, one.host.boot_id) == (0, boot_id)
        assert the_case(one).journal.last("claim") is None


def test_probe_gives_one_row_a_host_whatever_fails(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        text = one.settings.read_text()
        two = text + "  db02: {platform: linux, address: 127.0.0.1, channels: [{type: ssh, port: 1}]}\n"
        one.settings.write_text(two)
        done = cli(one, "probe", "db01", "db02", "--format", "json", "--deadline", "4")
        rows = json.loads(done.stdout)["hosts"]
        assert [row["host"] for row in rows] == ["db01", "db02"]
        assert rows[0]["diagnosis"] == "responsive"
        assert rows[1]["diagnosis"] != "responsive"


def test_without_a_confirmation_nothing_is_sent(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        one.host.hang()
        for options in (("--no-input",), ("--confirm", "db02"), ()):
            done = cli(one, "collect", "db01", *options)
            assert done.returncode == ExitCode.NOT_CONFIRMED, done.stdout + done.stderr
            assert "--confirm db01" in done.stdout
        assert one.bmc.arrived(0, 2) == 0


def test_case_list_show_and_verify_tell_of_a_case(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        collect(one)
        path = the_case(one).path
        listed = json.loads(cli(one, "case", "list", "--format", "json").stdout)["cases"]
        assert [(row["host"], row["nmi"], row["outcome"]) for row in listed] == [("db01", "sent", "success")]
    script = Path(sys.executable).with_name("hang-collector")
    shown = subprocess.run([script, "case", "show", path], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("# db01")
    subprocess.run([script, "case", "verify", path], capture_output=True, check=True)
    (path / "data/evidence/before-power.json").write_text("{}")
    tampered = subprocess.run([script, "case", "verify", path], capture_output=True, text=True, check=False)
    assert tampered.returncode == ExitCode.CASE
    assert "before-power.json" in tampered.stdout


def test_trigger_sends_one_nmi_and_resume_brings_the_dump_home(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        one.host.hang()
        done = cli(one, "trigger", "db01", "--confirm", "db01")
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        assert one.host.nmis == 1
        case = the_case(one)
        assert f"resume {case.path}" in "".join(done.stdout.split("\n")).replace("  ", " ")
        assert not list(case.path.glob("data/dump/*/vmcore"))
        refused = cli(one, "retrieve", "db01")
        assert refused.returncode == ExitCode.REFUSED, "the dump belongs into the case that asked for it"
        (again,) = (path for path in find(one.settings.parent / "cases") if path == case.path)
        resumed = cli(one, "resume", str(again))
        assert resumed.returncode == ExitCode.COMPLETE, resumed.stdout + resumed.stderr
        assert list(case.path.glob("data/dump/*/vmcore"))
        assert one.host.nmis == 1


def test_retrieve_brings_home_what_a_host_left_that_crashed_by_itself(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        one.host.nmi()  # by another hand
        done = cli(one, "retrieve", "db01", "--since", "1h")
        assert done.returncode == ExitCode.COMPLETE, done.stdout + done.stderr
        case = the_case(one)
        assert list(case.path.glob("data/dump/*/vmcore"))
        assert "of this crash" in " ".join(done.stdout.split())
        assert (one.host.nmis, one.bmc.arrived(0, 2)) == (1, 0)
        assert case.journal.last("claim") is None
        assert verify(case.path).ok


def test_retrieve_says_that_a_host_did_not_crash(tmp_path: Path) -> None:
    with lab(tmp_path / "lab") as one:
        quicken(one)
        done = cli(one, "retrieve", "db01", "--since", "1s")
        assert done.returncode == ExitCode.NO_DUMP, done.stdout + done.stderr
        assert "did not crash" in " ".join(done.stdout.split())
        assert one.host.nmis == 0
        assert cli(one, "retrieve", "db01", "--since", "soon").returncode == ExitCode.USAGE
