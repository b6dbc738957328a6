"""What the scripts of the WinRM channel would find on a Windows host, over a folder of this machine."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from collector.adapters.winrm_script import load
from tests.peers.wsman_powershell import Answer

DRIVE = "C:\\"
_FILETIME_1970 = 116_444_736_000_000_000


class WindowsHost:
    """Drive C: is `root`. Scripts that it does not know get the answer that a test puts in `answers`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.answers: dict[str, Answer] = {}

    def __call__(self, script: str, arguments: Mapping[str, str]) -> Answer:
        if script in self.answers:
            return self.answers[script]
        if script == load("files"):
            return self._files(**arguments)
        if script == load("read"):
            return self._read(**arguments)
        return Answer(1, stderr="The term is not recognized as the name of a cmdlet.")

    def _place(self, path: str) -> Path:
        assert path.startswith(DRIVE)
        assert "/" not in path
        return self.root / path.removeprefix(DRIVE).replace("\\", "/")

    def _files(self, path: str, what: str) -> Answer:
        place = self._place(path)
        if not place.exists():
            return _answer({"failed": "absent", "words": "Could not find it."})
        found = place.iterdir() if what == "children" else [place]
        return _answer({"entries": [_entry(item) for item in found]})

    def _read(self, path: str, offset: str, count: str) -> Answer:
        place = self._place(path)
        if not place.exists():
            return _answer({"failed": "absent", "words": "Could not find it."})
        with place.open("rb") as file:
            file.seek(int(offset))
            data = file.read(int(count))
        line = base64.b64encode(data) + b"\r\n"
        return Answer(0, line + json.dumps({"bytes": len(data)}).encode() + b"\r\n")


def _entry(item: Path) -> dict[str, object]:
    folder, status = item.is_dir(), item.stat()
    modified = status.st_mtime_ns // 100 + _FILETIME_1970
    return {
        "name": item.name,
        "folder": folder,
        "size": 0 if folder else status.st_size,
        "modified": modified,
    }


def _answer(answer: Mapping[str, object]) -> Answer:
    return Answer(0, json.dumps(answer).encode() + b"\r\n")
