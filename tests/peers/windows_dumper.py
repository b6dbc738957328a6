"""A Windows host that dumps itself while it runs, as far as our scripts for it can tell."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from collector.adapters.winrm_script import load
from tests.peers.wsman_powershell import Answer

SCRIPTS = {load(f"live_dump_{name}"): name for name in ("state", "upload", "start")}
SCRIPTS |= {load("make_folder"): "make_folder", load("remove_folder"): "remove"}


@dataclass
class Windows:
    """What the scripts do there, told in Python: a folder with tools, dumps, and the mark of who started."""

    build: int = 20348
    processes: int = 1
    looks: int = 1  # at which the tools still run
    makes: bool = True
    tools: dict[str, bytearray] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    starts: int = 0
    changes: int = 0
    folders: set[str] = field(default_factory=set)
    free: int = 1 << 36
    on_start: Callable[[], object] = lambda: None  # when the tools are to be started

    def answer(self, script: str, arguments: Mapping[str, str]) -> Answer:
        done = getattr(self, SCRIPTS[script])(arguments)
        return Answer(0, json.dumps(done).encode() + b"\r\n")

    def state(self, arguments: Mapping[str, str]) -> dict[str, object]:
        started = arguments["name"] in self.started
        self.looks -= started
        running = started and self.looks >= 0
        folder = f"C:\\ProgramData\\hang-collector\\{arguments['name']}"
        dumps = [
            {"path": f"{folder}\\{name}", "size": 4096, "modified": 134_000_000_000_000_000}
            for name in ("process.dmp", "kernel.dmp")
        ]
        return {
            "folder": folder, "build": self.build, "free": self.free, "kernel": 1 << 30, "process": 1 << 28,
            "found": self.processes, "started": started, "running": int(running),
            "files": dumps if started and self.makes else [], "words": "Access is denied." if started else "",
        }  # fmt: skip

    def make_folder(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.changes += 1
        self.folders.add(arguments["name"])
        assert arguments["also"] == ""
        return {"folder": f"C:\\ProgramData\\hang-collector\\{arguments['name']}"}

    def upload(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.changes += 1
        assert arguments["name"] in self.folders
        tool = self.tools.setdefault(arguments["tool"], bytearray())
        assert len(tool) == int(arguments["offset"])
        tool += base64.b64decode(arguments["data"])
        return {"size": len(tool)}

    def start(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.on_start()
        self.changes += 1
        assert arguments["name"] in self.folders
        mine = arguments["name"] not in self.started
        self.starts += mine
        self.started[arguments["name"]] = arguments["tools"]
        return {"mine": mine}

    def remove(self, arguments: Mapping[str, str]) -> dict[str, object]:
        self.changes += 1
        self.started.pop(arguments["name"], None)
        self.tools.clear()
        self.folders.discard(arguments["name"])
        return {"removed": True}
