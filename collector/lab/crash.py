"""What the lab host does on an NMI, and what that leaves in /var/crash."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from collector.lab import story, vmcore
from collector.lab.tree import Entry, Tree

HOSTILE_NAMES = (
    "vmcore.\nvmcore: complete",
    "vmcore./../../../../tmp/evil",
    "dump.\x1b[2J\x1b]0;owned\x07",
    "dmesg.\u202etxt.exe",
    "..",
)
"""What a hostile server may call the files in a dump's folder. Those that are one name can be read."""


class Reaction(StrEnum):
    """What comes of an NMI."""

    DUMP = "dump"
    NOTHING = "nothing"  # the kernel is not set to panic: "Dazed and confused, but trying to continue"
    NO_DUMP = "no dump"  # it panics with no capture kernel armed, and reboots
    INCOMPLETE = "incomplete"  # the capture kernel ran out of space
    NEVER_BACK = "never back"  # the capture kernel hangs as well


@dataclass(frozen=True, slots=True)
class Script:
    """How the host's life goes.

    Args:
        on_nmi: what comes of the NMI.
        dump_seconds: how long the dump is being written.
        boot_seconds: how long the firmware and the boot take.
        dump_delay: seconds from the boot until the dump is in its folder.
        dump_pages: incompressible pages in the dump, 4 KiB each.
        sftp_bytes_per_s: None for as fast as it goes.
        sftp_cut_at: close the connection once, after so many bytes of file content.
        hostile_names: put `HOSTILE_NAMES` beside the dump.
    """

    on_nmi: Reaction = Reaction.DUMP
    dump_seconds: float = 1.0
    boot_seconds: float = 0.5
    dump_delay: float = 0.0
    dump_pages: int = 2048
    sftp_bytes_per_s: float | None = None
    sftp_cut_at: int | None = None
    hostile_names: bool = False


@dataclass(slots=True)
class Crash:
    """A panic, and what the capture kernel leaves of it in /var/crash."""

    reaction: Reaction
    at: datetime
    log: story.Log

    def publish(self, tree: Tree, name: str, script: Script) -> None:
        """Put the dump and its logs where RHEL's kdump puts them."""
        if self.reaction is Reaction.NO_DUMP:
            return
        folder = f"/var/crash/127.0.0.1-{self.at:%Y-%m-%d-%H:%M:%S}"
        saved = self.reaction is Reaction.DUMP
        dump = vmcore.kdump(name, self.at, self.log, filler_pages=script.dump_pages)
        now = time.time()
        tree.put(f"{folder}/vmcore-dmesg.txt", story.text(self.log), now, 0o600)
        tree.put(f"{folder}/kexec-dmesg.log", story.capture_log(saved=saved), now, 0o600)
        if saved:
            tree.put(f"{folder}/vmcore", dump, now, 0o600)
        else:
            tree.put(f"{folder}/vmcore-incomplete", dump[: len(dump) // 2], now, 0o600)
        if script.hostile_names:
            for hostile in HOSTILE_NAMES:
                if hostile == ".." or "/" in hostile:
                    tree.put_false_name(folder, Entry(hostile, False, 4096, now, 0o600))
                else:
                    tree.put(f"{folder}/{hostile}", b"no dump\n", now, 0o600)
            tree.put_false_name("/var/crash", Entry("../../etc", True, 4096, now, 0o755))
