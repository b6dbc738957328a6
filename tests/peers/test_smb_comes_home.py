"""A dump on its way into the case over SMB, from Samba's smbd, by the run's own copy."""

from __future__ import annotations

import hashlib
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from collector.adapters.base import Files
from collector.adapters.limits import Deadline
from collector.adapters.registry import Connections
from collector.adapters.smb import SmbEndpoint
from collector.adapters.smb_connection import CHUNK
from collector.case.folder import CaseFolder
from collector.model.host import Host, Platform
from collector.playbook.loader import load, shipped_folder
from collector.run.copy import Copy
from collector.run.incident import Incident, Silent
from tests.peers.samba import Smbd, drive, smb_login
from tests.peers.sshd import descendants

DUMP = os.urandom(CHUNK * 20 + 4_321)


class KillsTheSession(Silent):
    """Ends the server's process for our connection, once, when a part of the file is home."""

    def __init__(self, server: Smbd) -> None:
        self._server = server
        self._waits = True
        self.notes: list[str] = []

    def copied(self, name: str, done: int, total: int) -> None:
        if self._waits and done > 9 * CHUNK:
            self._waits = False
            for pid in descendants(self._server.pid):
                os.kill(pid, signal.SIGKILL)

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_dump_comes_home_over_smb_though_the_server_drops_us_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "c" / "Windows").mkdir(parents=True)
    (tmp_path / "c" / "Windows" / "MEMORY.DMP").write_bytes(DUMP)
    case = CaseFolder.create(tmp_path, "sql01", datetime.now(UTC))
    with drive(tmp_path / "smb", tmp_path / "c") as server:
        endpoint = SmbEndpoint(address="127.0.0.1", port=server.port, credential="win")
        host = Host("sql01", Platform.WINDOWS, "127.0.0.1", channels=(endpoint,))
        connections = Connections({"win": smb_login(server)}, print)
        with connections.open(host, endpoint, Files, Deadline.after(30)) as files:
            found = files.stat("/C:/Windows/MEMORY.DMP", Deadline.after(30))
        progress = KillsTheSession(server)
        playbook = load(shipped_folder() / "windows-crash-dump.yaml")
        incident = Incident(host, playbook, case, connections, progress, lambda *_: None)
        assert Copy(incident, found, "dump", Deadline.after(90)).run() == []
    offsets = [entry.data["offset"] for entry in case.journal.all("copy.started")]
    artifact = case.journal.last("artifact")
    assert artifact is not None
    assert artifact.data["sha256"] == hashlib.sha256(DUMP).hexdigest()
    assert offsets[0] == 0
    assert len(offsets) == 2
    assert offsets[1] >= 8 * CHUNK  # no more than one checkpoint is fetched again
    assert any("going on from the last verified byte" in note for note in progress.notes)
