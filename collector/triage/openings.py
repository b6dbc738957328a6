"""How each kind of block in a log begins. One list: a block ends where another one begins."""

from __future__ import annotations

import re

HEX = r"[0-9a-fA-F]{8}`?(?:[0-9a-fA-F]{8})?"  # an address as it is printed: 8 or 16 digits
NUMBER = r"[0-9a-fA-F][0-9a-fA-F`]{0,16}"  # an id, or an address that lost its leading zeros

_OPENINGS = {
    "thread": rf"THREAD {HEX}\s",
    "process": rf"PROCESS {HEX}\b",
    "prompt": r"(?:(?:\d+(?:\.\d+)?: )?l?kd(?::\w+)?|\d+:\d{3}(?::\w+)?)>\s*(?P<command>.*)",
    "marker": r"@@CMD\s*(?P<marked>.*)",  # written by our own scripts before each command
    "bare_command": (
        r"(?P<bare>(?:![a-z][\w.]*|\.(?:process|thread|cxr|exr|bugcheck|echo|reload|effmach)|~\d+s)\b.*|~\*?)$"
    ),
    "user_thread": r"[.#]?\s*\d+\s+Id: [0-9a-f]+\.[0-9a-f]+\s",
    "stacks_row": (
        rf"[0-9a-f]{{1,8}}\.[0-9a-f]{{4,8}}\s+{HEX}\s+[0-9a-f]{{1,8}}\s+[A-Z][A-Za-z_]+\s|\[{HEX} [^\]]+\]$"
        r"|Proc\.Thread\s"
    ),
    "unique_stack": r"\d+ threads? \[stats\]:",
    "stack": r"(?:# )?(?:ChildEBP|Child-SP)\s+RetAddr|# Call Site$|Call Site$",
    "resource": r"Resource @ ",
    "critical_section": r"(?:DebugInfo|Critical section)\s+= |CritSec \S+ at ",
    "lpc_message": r"Searching message [0-9a-fA-F`]+ in|Server thread \S+ is working on message|"
    r"Client thread \S+ waiting a reply",
    "alpc_message": rf"Message (?:@ )?{HEX}\s*$",
    "waiters": r"Threads Waiting On ",
    "handles": rf"(?:Kernel )?[Hh]andle [Tt]able at {HEX}|\d+ Handles$",
    "irp": r"Irp is active with|Irp is not active|Irp is completed",
    "irp_row": rf"{HEX} \[{HEX}\] irpStack:",
    "device_stack": r"!DevObj\s+!DrvObj",
    "storage_units": r"STORPORT Units:",
    "vm": r"\*{3} Virtual Memory Usage \*{3}|Physical Memory:\s+\d+ ",
    "pool_tags": r"Pool Used:|Tag\s+Allocs\s",
    "modules": r"start\s+end\s+module name|Unloaded modules:",
    "image_header": r"File Type: (?:DLL|EXECUTABLE IMAGE)",
    "running": r"System Processors:?\s|Idle Processors:?\s",
    "ready": r"Processor \d+: (?:Ready Threads|No threads)",
    "cpuinfo": r"CP\s+F/M/S\s",
    "miniports": r"MiniDriver\s+Miniport\s+Name",
    "miniport": r"MINIPORT$",
    "oid_request": r"OID REQUEST$",
    "minidriver": r"HANDLERS$|Miniport Handler\s+Function pointer",
    "analysis": r"\*\s+Bugcheck Analysis\s+\*|[A-Z][A-Z0-9_]{5,} \([0-9a-f]{1,8}\)$|"
    r"BugCheck [0-9A-Fa-f]+, \{|Bugcheck code [0-9A-Fa-f]+|"
    r"(?:BUGCHECK_STR|BUGCHECK_CODE|DEFAULT_BUCKET_ID|FAULTING_\w+|BLOCKED_THREAD|BLOCKING_THREAD|LOCK_ADDRESS|"
    r"PROCESS_NAME|MODULE_NAME|IMAGE_NAME|SYMBOL_NAME|STACK_TEXT|DPC_TIMEOUT_TYPE|DERIVED_WAIT_CHAIN):",
    "psod": r"VMware ESX|@BlueScreen:|VMK uptime:",
}
# Possessive: without it a line that begins no block is tried anew for each of its leading spaces.
_OPENING = re.compile(r"\s*+(?:" + "|".join(f"(?P<{name}>{form})" for name, form in _OPENINGS.items()) + ")")


def opening(line: str) -> re.Match[str] | None:
    """Return the match whose `lastgroup` is the name of the block that begins here."""
    return _OPENING.match(line)
