"""Purple screens of ESX and ESXi, as text.

Source: VMware KB 1004250 ("Interpreting an ESX/ESXi host purple diagnostic screen"), KB 1020105 (spin count).
"""

from __future__ import annotations

import re

from collector.triage.duration import duration
from collector.triage.gather import Gathered
from collector.triage.kd_stack import MOST_FRAMES, address
from collector.triage.machine import World
from collector.triage.model import Frame, Psod, Stack
from collector.triage.openings import opening
from collector.triage.text import Lines

MOST_WORLDS = 1024

_VERSION = re.compile(r"\s*(VMware ESX.*?)\s*\[Releasebuild-(\d+)")
_MESSAGE = re.compile(r"@BlueScreen:\s*(\S.*)")
_LOCK = re.compile(r"Spin count exceeded \(([^)]+)\)")
_SPIN = re.compile(r"Spin count exceeded")
_REGISTER = re.compile(r"\b([a-zA-Z]\w{1,5})=(-?(?:0x)?[0-9a-fA-F]+)")
_WORLD = re.compile(r"(\*)?(?:PCPU ?)?(?<!\d)(\d{1,5}):(\d{1,10})/(\S+)")
_FRAME = re.compile(
    r"\s*(?:\S+\s+)?(?:cpu\d{1,5}:\d{1,10}\))?"  # a time and a CPU, in a log
    r"0x[0-9a-fA-F]+:\[(0x[0-9a-fA-F]{1,16})\](\S+?)(?:\+(0x[0-9a-fA-F]{1,16}))?\s+stack:"
)
_IN_WORLD = re.compile(r"(?:PCPU ?(\d{1,5})\b.*)?in world (\d{1,10}):(\S+)")  # the message may name it
_UPTIME = re.compile(r"VMK uptime:\s*([\d:.]+)")


def read_psod(lines: Lines, gathered: Gathered) -> None:
    """Read a purple screen: the message, what ran on each CPU, the stack of the one that stopped."""
    reader = _Reader(lines.number, gathered.psod)
    line = lines.line
    while line is not None:
        reader.take(line, lines.number)
        line = lines.advance()
        if line is not None and (following := opening(line)) and following["psod"] is None:
            break
    gathered.psod = reader.psod()


class _Reader:
    """Gathers one purple screen; double spacing and missing parts do no harm."""

    def __init__(self, line: int, earlier: Psod | None) -> None:
        self._line = earlier.line if earlier else line
        self._message = earlier.message if earlier else ""
        self._headline = False  # the line under the version is the message
        self._version = earlier.version if earlier else ""
        self._build = earlier.build if earlier else ""
        self._registers: dict[str, str] = dict(earlier.fields) if earlier else {}
        self._worlds: list[World] = list(earlier.worlds) if earlier else []
        self._active: World | None = earlier.world if earlier else None
        self._uptime = earlier.uptime_seconds if earlier else None
        self._frames: list[Frame] = list(earlier.stack.frames) if earlier and earlier.stack else []
        self._lines: list[int] = list(earlier.stack.lines) if earlier and earlier.stack else []

    def take(self, line: str, number: int) -> None:
        """Take one line."""
        if frame := _FRAME.match(line):
            self._take_frame(frame, number)
        elif version := _VERSION.match(line):
            self._version, self._build = self._version or version[1], self._build or version[2]
            self._headline = not self._message
        elif message := _MESSAGE.search(line):
            self._message = message[1].strip()
        elif (self._headline and line.strip()) or (_SPIN.search(line) and not self._message):
            self._message, self._headline = line.strip(), False
        elif uptime := _UPTIME.search(line):
            self._uptime = duration(uptime[1])
        elif worlds := _WORLD.findall(line):
            self._take_worlds(worlds)
        elif len(self._registers) < MOST_WORLDS:
            self._registers.update(_REGISTER.findall(line))

    def _take_frame(self, frame: re.Match[str], number: int) -> None:
        if len(self._frames) < MOST_FRAMES:
            function, _, module = frame[2].partition("@")  # since ESXi 5: "SP_WaitLock@vmkernel#nover"
            name = module.partition("#")[0].strip("()")
            self._frames.append(Frame(name, function, int(frame[3] or "0", 16)))
            self._lines.append(number)

    def _take_worlds(self, worlds: list[tuple[str, str, str, str]]) -> None:
        for star, cpu, world_id, name in worlds:
            world = World(int(cpu), int(world_id), name)
            if len(self._worlds) < MOST_WORLDS:
                self._worlds.append(world)
            if star:
                self._active = world

    def psod(self) -> Psod:
        """Return what was gathered."""
        active = self._active or self._in_message()
        lock = _LOCK.search(self._message)
        cr2 = self._registers.get("cr2", "")
        return Psod(
            line=self._line,
            message=self._message,
            version=self._version,
            build=self._build,
            lock=lock[1] if lock else "",
            cr2=address(cr2) if cr2.startswith("0x") else None,
            cpu=active.cpu if active else None,
            world=active,
            worlds=tuple(self._worlds),
            uptime_seconds=self._uptime,
            stack=Stack(tuple(self._frames), tuple(self._lines)) if self._frames else None,
            fields=self._registers,
        )

    def _in_message(self) -> World | None:
        """The world that the message names, where no star marks one among the processors' worlds."""
        named = _IN_WORLD.search(self._message)
        if named is None:
            return None
        known = next((world for world in self._worlds if world.world_id == int(named[2])), None)
        return known or (World(int(named[1]), int(named[2]), named[3]) if named[1] else None)
