"""A Windows machine on loopback: WinRM by the WS-Management server of the tests, its drive C: by Samba.

It hangs as Windows does with a stuck user mode: the kernel still completes TCP handshakes, and nobody
answers. An NMI makes it crash; after a while it is back with MEMORY.DMP on its drive.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.facts import windows
from tests.peers.samba import Smbd, drive
from tests.peers.windows_exports import WindowsExports
from tests.peers.wsman import PASSWORD, USER, Wsman, silence, wsman
from tests.peers.wsman_powershell import Answer
from tests.unit.dump import windows_generator

FACTS = Path(__file__).parents[1] / "unit" / "facts" / "windows" / "2016.json"
"""What a well-kept Windows says of itself."""

_VIRTUAL = {
    "os_version": "10.0.17763",
    "manufacturer": "Microsoft Corporation",
    "model": "Virtual Machine",
    "services": [],
    "storage_drivers": ["storvsc"],
    "boot_disks": [{"bus": 10, "model": "Msft Virtual Disk"}],
    "ram": 8_589_398_016,
    "ram_installed": [8_589_934_592.0],
    "paging_files": "C:\\pagefile.sys 9216 9216",
    "page_files": [{"path": "C:\\pagefile.sys", "allocated_mb": 9216, "temporary": False}],
}
"""In a virtual machine, with the build that its dump has."""


@dataclass
class WindowsGuest:
    """The running machine. `nmis` counts the interrupts that reached it.

    `recorded` are facts that its System log holds once it is back; without `dumps` it leaves none.
    """

    folder: Path
    dumps_for: float = 2.0  # seconds from the crash until it is back
    nmis: int = 0
    winrm: Wsman = field(default_factory=Wsman)
    smb: Smbd | None = None
    scripts: list[str] = field(default_factory=list)
    recorded: dict[str, object] = field(default_factory=dict)
    dumps: bool = True
    _booted: float = field(default_factory=lambda: time.time() - 864_000.0)
    _back: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def drive(self) -> Path:
        """What its drive C: holds."""
        return self.folder / "C"

    @functools.cached_property
    def exports(self) -> WindowsExports:
        """Its event logs, and what it wrote out of them."""
        day = 86_400.0
        return WindowsExports(
            self.drive,
            {
                "System": [(90 * day, "installed"), (2 * day, "a disk timed out"), (60.0, "volmgr 162")],
                "Microsoft-Windows-Kernel-WHEA/Operational": [
                    (2 * day, "an old error"),
                    (60.0, "a bus error"),
                ],
            },
        )

    def settings(self) -> str:
        """Its channels, in the YAML of a settings file; the credential `win` must be there."""
        assert self.smb is not None
        return (
            f"[{{type: winrm, address: 127.0.0.1, port: {self.winrm.port}, tls: false, credential: win}}, "
            f"{{type: smb, address: 127.0.0.1, port: {self.smb.port}, credential: drive}}]"
        )

    def credentials(self) -> str:
        """The credentials of its channels, in YAML; their secrets are files in its folder."""
        assert self.smb is not None
        winrm, smb = self._secret("winrm", PASSWORD), self._secret("smb", self.smb.password)
        return (
            f"  win:   {{username: {USER}, password: file:{winrm}}}\n"
            f"  drive: {{username: {self.smb.user}, password: file:{smb}}}\n"
        )

    def hang(self) -> None:
        """User mode stops: connections are accepted, and nobody answers."""
        assert self.smb is not None
        self.winrm.trouble["Any"] = silence
        os.kill(self.smb.pid, signal.SIGSTOP)

    def receive_nmi(self) -> None:
        """The interrupt arrives: the first one crashes the machine."""
        with self._lock:
            self.nmis += 1
            if self._back is None:
                self._back = threading.Thread(target=self._dump_and_boot, args=(time.time(),))
                self._back.start()

    def answer(self, script: str, arguments: Mapping[str, str]) -> Answer:
        """What PowerShell makes of the scripts that the product sends to a guest."""
        self.scripts.append(script)
        if script != windows.SCRIPT:
            return self.exports.answer(script, arguments) or Answer(0, b"[]\r\n")
        facts = json.loads(FACTS.read_text(encoding="utf-8"))
        now = time.time()
        facts["facts"] |= {"clock": int(now), "boot_time": int(self._booted)}
        facts["facts"] |= {"uptime": now - self._booted, "dump_writer": [], **_VIRTUAL}
        if self._back is not None:
            facts["facts"] |= self.recorded
        return Answer(0, json.dumps(facts).encode() + b"\r\n")

    def wait(self) -> None:
        """Until it is back, if it crashed; and able to end in any case."""
        if self._back is not None:
            self._back.join()
        assert self.smb is not None
        os.kill(self.smb.pid, signal.SIGCONT)

    def _dump_and_boot(self, crashed: float) -> None:
        time.sleep(self.dumps_for)
        if self.dumps:
            dump = windows_generator.bitmap(crashed=int(crashed))
            (self.drive / "Windows" / "MEMORY.DMP").write_bytes(dump.data)
        self._booted = time.time()
        assert self.smb is not None
        os.kill(self.smb.pid, signal.SIGCONT)
        self.winrm.trouble.clear()

    def _secret(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}-password"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path


@contextlib.contextmanager
def windows_guest(folder: Path, *, dumps_for: float = 2.0) -> Iterator[WindowsGuest]:
    """Run the machine for the length of the block."""
    guest = WindowsGuest(folder, dumps_for)
    logs = guest.drive / "Windows" / "System32" / "winevt" / "Logs"
    logs.mkdir(parents=True)
    (logs / "System.evtx").write_bytes(b"ElfFile\0" + bytes(4088))
    with (
        wsman(folder / "winrm", guest.answer) as guest.winrm,
        drive(folder / "smb", guest.drive) as guest.smb,
    ):
        try:
            yield guest
        finally:
            guest.wait()
