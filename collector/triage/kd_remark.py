"""Lines that may stand anywhere: the banner of the dump, `vertarget`, `!sysinfo`, remarks about the dump.

Source: Microsoft, "vertarget", "version"; the remarks by example.
"""

from __future__ import annotations

import re

from collector.triage.duration import duration
from collector.triage.gather import Gathered
from collector.triage.machine import NoticeKind

_LABELS = {
    "Loading Dump File [": "dump_file",
    "Built by: ": "built_by",
    "Machine Name:": "machine_name",
    "Debug session time: ": "session_time",
    "Comment: ": "comment",
    "Manufacturer: ": "manufacturer",
    "System Manufacturer = ": "manufacturer",
    "Product: ": "product",
    "System Product Name = ": "product",
}
_DUMP_KIND = re.compile(r"(?:Kernel \w+ Dump File|Mini Kernel Dump File|(?:User )?Mini Dump File)[^:]*: ")
_VERSION = re.compile(r"Windows .*?(?:Kernel )?Version (\d{4,6})", re.IGNORECASE)
_PROCESSORS = re.compile(r"\((\d{1,5}) procs\)")
_ARCHITECTURE = re.compile(r"\b(x86|x64|ia64|IA64|ARM64|ARM)\b")
_UPTIME = re.compile(r"System Uptime: (?:(\d{1,6}) days? )?([\d:.]+)")
_DAY = 86400

_NOTICES = tuple(
    (kind, re.compile("|".join(forms), re.IGNORECASE))
    for kind, forms in (
        (NoticeKind.TRUNCATED, (r"dump file (?:has been|is|was) truncated",)),
        (NoticeKind.INCONSISTENT, (r"LiveKd", r"do(?:es not|esn't) match CR3")),
        (
            NoticeKind.CORRUPT,
            (
                r"Unable to read selector for PCR",
                r"Unable to get program counter",
                r"Unable to read PsLoadedModuleList",
                r"list .{0,20}corrupt",
            ),
        ),
        (NoticeKind.NO_DEBUG_ACCESS, (r"Data Not Accessible", r"not present in the dump file")),
        (NoticeKind.PAGED_OUT, (r"paged out",)),
        (
            NoticeKind.NO_SYMBOLS,
            (r"symbols could not be loaded", r"Symbol file could not be found", r"symbols are WRONG"),
        ),
        (NoticeKind.CODE_CHANGED, (r"^\d+ errors? : ",)),
        (NoticeKind.SWITCHED_PROCESSOR, (r"!wow64exts", r"32bit mode", r"Effective machine: x86")),
    )
)
_LABEL = re.compile(r"(\w+)!\S+:$")  # over a disassembled function
_JUMP = re.compile(r"\bjmp\s+(?:\w+ ptr \[)?([A-Za-z_]\w*)[!+]")
_ANY_NOTICE = re.compile("|".join(form.pattern for _, form in _NOTICES), re.IGNORECASE)


def take_remark(line: str, number: int, gathered: Gathered) -> None:
    """Take a line that may stand anywhere: a line of the banner, or a remark about the dump."""
    if "System Uptime" in line and (uptime := _UPTIME.search(line)):
        seconds = duration(uptime[2])
        if seconds is not None and "uptime_seconds" not in gathered.system:
            gathered.system |= {
                "uptime_seconds": int(uptime[1] or "0") * _DAY + seconds,
                "uptime_line": number,
            }
        return
    text = line.strip()
    for label, field in _LABELS.items():
        if text.startswith(label):
            gathered.system.setdefault("line", number)
            gathered.system.setdefault(field, text.removeprefix(label).strip(" ]'\""))
            break
    if "Dump File" in text and _DUMP_KIND.match(text):
        gathered.system.setdefault("line", number)
        gathered.system.setdefault("dump_kind", text)
    elif text.startswith("Windows ") and (version := _VERSION.match(text)):
        _take_version(text, int(version[1]), number, gathered)
    if shown := _LABEL.match(text):
        gathered.code_of = shown[1]
    elif (jump := _JUMP.search(text)) and gathered.code_of not in ("", jump[1]):
        gathered.notice(number, NoticeKind.CODE_CHANGED, text)
    if _ANY_NOTICE.search(text):
        _take_notice(text, number, gathered)


def _take_version(text: str, build: int, number: int, gathered: Gathered) -> None:
    if "version" in gathered.system:
        return
    gathered.system.setdefault("line", number)
    gathered.system |= {"version": text, "build": build}
    if processors := _PROCESSORS.search(text):
        gathered.system["processors"] = int(processors[1])
    if architecture := _ARCHITECTURE.search(text):
        gathered.system["architecture"] = architecture[1].lower()


def _take_notice(text: str, number: int, gathered: Gathered) -> None:
    for kind, form in _NOTICES:
        if form.search(text):
            gathered.notice(number, kind, text)
            return
