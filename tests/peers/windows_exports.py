"""What the scripts that write logs out do on Windows, over a folder here that stands for its drive C:.

Like the event log service, it takes no target that exists, knows its own clock alone, and writes only what is
young enough.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collector.adapters.winrm_script import load
from tests.peers.wsman_powershell import Answer

_OURS = "C:\\ProgramData\\hang-collector\\"
_REPORTS = "C:\\Windows\\Cluster\\Reports"
_FILETIME_1970 = 116_444_736_000_000_000


@dataclass
class WindowsExports:
    """`logs` are event logs by name: events as (seconds before now, text).

    `fast` is how far its clock is ahead. `trouble` goes by the name of the log, `folder`, `cluster`, or
    `remove`.
    """

    root: Path
    logs: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    fast: timedelta = timedelta()
    clustered: bool = False
    trouble: dict[str, Answer] = field(default_factory=dict)
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def answer(self, script: str, arguments: Mapping[str, str]) -> Answer | None:
        """What becomes of the script; None for one that is not known here."""
        does: Mapping[str, Callable[..., Answer]] = {
            load("make_folder"): self._make_folder,
            load("export_events"): self._events,
            load("export_cluster_log"): self._cluster,
            load("remove_folder"): self._remove,
        }
        if script not in does:
            return None
        self.asked.append(arguments)
        return does[script](**arguments)

    @property
    def folders(self) -> list[str]:
        """What of ours is on the drive."""
        ours = self._place(_OURS)
        return sorted(path.name for path in ours.iterdir()) if ours.is_dir() else []

    def _make_folder(self, name: str, also: str) -> Answer:
        if "folder" in self.trouble:
            return self.trouble["folder"]
        assert also == "S-1-5-19"
        self._place(f"{_OURS}{name}").mkdir(parents=True, exist_ok=True)
        return _answer({"folder": f"{_OURS}{name}"})

    def _events(self, name: str, log: str, file: str, seconds: str) -> Answer:
        target = self._place(f"{_OURS}{name}\\{file}")
        assert target.parent.is_dir(), "it writes into a folder that is made before"
        target.unlink(missing_ok=True)
        if log in self.trouble:
            target.write_bytes(b"ElfFile\0")  # what a cut export leaves
            return self.trouble[log]
        if log not in self.logs:
            return _answer({"failed": "absent", "words": "Der angegebene Kanal wurde nicht gefunden."})
        young = [text for age, text in self.logs[log] if age <= int(seconds)]
        target.write_bytes(b"ElfFile\0" + "\n".join(young).encode())
        since = datetime.now(UTC) + self.fast - timedelta(seconds=int(seconds))
        return _answer(self._row(target) | {"since": since.strftime("%Y-%m-%dT%H:%M:%S.000Z")})

    def _cluster(self, minutes: str) -> Answer:
        if "cluster" in self.trouble:
            return self.trouble["cluster"]
        if not self.clustered:
            return _answer({"failed": "absent", "words": "the host is no node of a cluster"})
        target = self._place(_REPORTS) / "Cluster.log"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"the last {int(minutes)} minutes of this node", encoding="utf-8")
        return _answer(self._row(target))

    def _remove(self, name: str) -> Answer:
        if "remove" in self.trouble:
            return self.trouble["remove"]
        shutil.rmtree(self._place(f"{_OURS}{name}"), ignore_errors=True)
        return _answer({"removed": True})

    def _place(self, path: str) -> Path:
        return self.root / path.removeprefix("C:\\").replace("\\", "/")

    def _row(self, file: Path) -> dict[str, object]:
        modified = file.stat().st_mtime_ns // 100 + _FILETIME_1970
        path = "C:\\" + str(file.relative_to(self.root)).replace("/", "\\")
        return {"path": path, "size": file.stat().st_size, "modified": modified}


def _answer(answer: Mapping[str, object]) -> Answer:
    return Answer(0, json.dumps(answer).encode() + b"\r\n")
