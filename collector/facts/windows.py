"""What a Windows host says of its crash dumps, in one round trip and without changing anything on it.

`gather` asks the few things that a run needs of a host that is barely alive; `gather_all` asks all that an
audit judges. Both send the one script beside this module, which answers with a line of JSON. Nothing in it is
in the language of the host.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from glob import escape
from importlib import resources

from collector.adapters.answers import CommandResult
from collector.adapters.base import PowerShell
from collector.adapters.limits import Deadline
from collector.errors import PeerFailedError
from collector.model.fact import Fact, Facts, value


class Kind(StrEnum):
    """What the script answers for a fact, and what its text is then."""

    NUMBER = "number"  # decimal digits, with a fraction only where there is one
    FLAG = "flag"  # 1 or 0
    TEXT = "text"
    LINES = "lines"  # texts, one a line
    ROWS = "rows"  # objects, one line of JSON each


FEW: Mapping[str, Kind] = {
    "clock": Kind.NUMBER,
    "uptime": Kind.NUMBER,
    "boot_time": Kind.NUMBER,
    "os_version": Kind.TEXT,
    "product_type": Kind.NUMBER,
    "system_drive": Kind.TEXT,
    "crash_dump_enabled": Kind.NUMBER,
    "filter_pages": Kind.NUMBER,
    "dump_file": Kind.TEXT,
    "overwrite": Kind.NUMBER,
    "auto_reboot": Kind.NUMBER,
    "log_event": Kind.NUMBER,
    "send_alert": Kind.NUMBER,
    "minidump_dir": Kind.TEXT,
    "always_keep_memory_dump": Kind.NUMBER,
    "dedicated_dump_file": Kind.TEXT,
    "dump_file_size": Kind.NUMBER,
    "ignore_page_file_size": Kind.NUMBER,
    "nmi_crash_dump": Kind.NUMBER,
    "last_crash_time": Kind.NUMBER,
    "dump_filters": Kind.LINES,
    "dump_encryption": Kind.NUMBER,
    "guarded_host": Kind.NUMBER,
    "crash_copy": Kind.TEXT,
    "paging_files": Kind.LINES,
    "existing_page_files": Kind.LINES,
    "ram": Kind.NUMBER,
    "page_file_automatic": Kind.FLAG,
    "domain_role": Kind.NUMBER,
    "manufacturer": Kind.TEXT,
    "model": Kind.TEXT,
    "hypervisor_present": Kind.FLAG,
    "page_files": Kind.ROWS,
    "dump_writer": Kind.LINES,
}
"""What `gather` asks. Sizes are in bytes, or in the name's unit; times in seconds since the epoch, in UTC.

`dump_writer` names the process that brings a dump from the page file to its place, while it runs.
"""

_MORE: Mapping[str, Kind] = {
    "administrator": Kind.FLAG,
    "edition": Kind.TEXT,
    "installation": Kind.TEXT,
    "revision": Kind.NUMBER,
    "dump_certificate": Kind.TEXT,
    "live_kernel_reports": Kind.TEXT,
    "keyboard_ps2": Kind.NUMBER,
    "keyboard_usb": Kind.NUMBER,
    "keyboard_hyperv": Kind.NUMBER,
    "keyboard_ps2_keys": Kind.NUMBER,
    "keyboard_usb_keys": Kind.NUMBER,
    "ram_installed": Kind.NUMBER,
    "volumes": Kind.ROWS,
    "bitlocker": Kind.ROWS,
    "boot_disks": Kind.ROWS,
    "storage_drivers": Kind.LINES,
    "services": Kind.LINES,
    "cluster_vms": Kind.ROWS,
    "dump_events": Kind.ROWS,
    "bug_checks": Kind.ROWS,
    "restarts": Kind.ROWS,
    "dump_files": Kind.ROWS,
}

_ALL: Mapping[str, Kind] = {**FEW, **_MORE}

NAMES = frozenset(_ALL)
"""The facts that a whole answer of `gather_all` holds, each with its value or its reason."""

_COLUMNS: Mapping[str, Kind] = {
    "allocated_mb": Kind.NUMBER,
    "boot": Kind.FLAG,
    "bus": Kind.NUMBER,
    "bytes": Kind.NUMBER,
    "check_heartbeat": Kind.NUMBER,
    "drive": Kind.TEXT,
    "free": Kind.NUMBER,
    "id": Kind.NUMBER,
    "kind": Kind.NUMBER,
    "model": Kind.TEXT,
    "modified": Kind.NUMBER,
    "name": Kind.TEXT,
    "path": Kind.TEXT,
    "protection": Kind.NUMBER,
    "size": Kind.NUMBER,
    "temporary": Kind.FLAG,
    "time": Kind.NUMBER,
    "values": Kind.LINES,
}
"""Of all rows; a row holds those that the script knew."""

SCRIPT = resources.files("collector.facts").joinpath("windows.ps1").read_text(encoding="utf-8")
"""The one script that is sent."""

_LIMIT = 1024 * 1024  # bytes of one answer
_TEXT_MAX, _LINES_MAX, _REASON_MAX = 4096, 500, 100  # characters, lines, characters
_SHARE = 0.7  # of the time left is the script's; the rest is for starting PowerShell and for the answer's way
_INTEGERS = 2**63  # nothing that is counted here is more

_PLACE = re.compile(r"[A-Za-z]:(\\[^\\/:*?\"<>|]+)+")
"""A path on a drive, without what no file name holds (Microsoft, Naming files, paths, and namespaces)."""

_REASONS = {
    "unsupported": "CommandNotFound",
    "denied": "PermissionDenied|SecurityError|Unauthorized|0x80070005|0x80041003|0x80041062",
    "absent": "NoMatching|ObjectNotFound|PropertyNotFound|0x80041002|0x8004100e|0x80041010",
    "timed out": "OperationTimeout|0x80043001|0x00040004",
}
"""Categories of errors, their ids, and codes of wbemcli.h; what none of them names is the reason itself."""


def gather(shell: PowerShell, source: str, deadline: Deadline) -> Facts:
    """Read the few facts over `shell`; `source` names the channel in each of them.

    Raises:
        PeerFailedError: the host ran the script and said nothing we know.
        AdapterError: the channel failed.
    """
    return _ask(shell, source, deadline, "few", FEW)


def gather_all(shell: PowerShell, source: str, deadline: Deadline) -> Facts:
    """Read all that an audit judges; every fact is there, with its value or with why it is missing.

    Raises:
        PeerFailedError: the host ran the script and said nothing we know.
        AdapterError: the channel failed.
    """
    return _ask(shell, source, deadline, "all", NAMES)


def parse(output: bytes, source: str, now: datetime) -> Facts:
    """Turn the script's output into facts; none when there is no answer in it. Unknown names are left out.

    Only the last line that looks like the answer counts, so that nothing a host prints before it matters.
    """
    answer = _answer(output)
    found, missing = (_mapping(answer.get(key)) for key in ("facts", "missing"))
    facts = {}
    for name, kind in _ALL.items():
        if name not in found and name not in missing:
            continue
        value = found.get(name)
        text = _text(value, kind)
        if text:
            facts[name] = Fact(name, text, source, now)
        else:
            why = _reason(missing[name]) if name in missing else _nothing(value)
            facts[name] = Fact(name, None, source, now, why)
    return facts


def dump_patterns(facts: Facts) -> tuple[str, ...]:
    """Where this host says that its dumps go, as patterns of paths such as `/D:/MEMORY.DMP`."""
    places = ((value(facts, "dump_file"), ""), (value(facts, "minidump_dir"), "/*.dmp"))
    return tuple(
        "/" + escape(place.replace("\\", "/")) + name
        for place, name in places
        if place is not None and _PLACE.fullmatch(place) and ".." not in place
    )


def _ask(shell: PowerShell, source: str, deadline: Deadline, depth: str, names: Iterable[str]) -> Facts:
    seconds = str(max(1, int(deadline.remaining() * _SHARE)))
    arguments = {"Depth": depth, "Seconds": seconds}
    result = shell.powershell(SCRIPT, deadline, arguments=arguments, limit=_LIMIT)
    now = datetime.now(UTC)
    facts = parse(result.stdout, source, now)
    _require(facts, result)
    return {name: facts.get(name) or Fact(name, None, source, now, "the host did not say") for name in names}


def _answer(output: bytes) -> Mapping[str, object]:
    for line in reversed(output.decode("utf-8-sig", "replace").splitlines()):
        if line.startswith("{"):
            try:
                return _mapping(json.loads(line))
            except (ValueError, RecursionError):
                # A line that only looks like one; no other has the answer, for it is printed last.
                return {}
    return {}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object, kind: Kind) -> str:
    """The fact's text; empty where the value is none, or not of its kind."""
    items = _items(value)
    if kind is Kind.ROWS:
        return "\n".join(filter(None, map(_row, items)))
    if kind is Kind.LINES:
        texts = [_clean(item) for item in items if isinstance(item, str)]
        return "\n".join(dict.fromkeys(filter(None, texts)))
    return _single(items[0], kind) if len(items) == 1 else ""


def _single(value: object, kind: Kind) -> str:
    if kind is Kind.NUMBER:
        return _number(value)
    if kind is Kind.FLAG:
        return str(int(value)) if isinstance(value, int) and value in (0, 1) else ""
    return _clean(value) if isinstance(value, str) else ""


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    if not -_INTEGERS <= value <= _INTEGERS * 2:
        return ""
    return str(int(value)) if value == int(value) else f"{value:.3f}"


def _clean(text: str) -> str:
    """One line that every encoding can hold; a lone half of a character is replaced."""
    return " ".join(text[:_TEXT_MAX].encode("utf-8", "replace").decode("utf-8").split())


def _items(value: object) -> list[object]:
    """The items of a list; PowerShell writes one of a single item as that item, or wraps it in an object."""
    if isinstance(value, dict) and value.keys() == {"value", "Count"}:
        value = value["value"]
    if isinstance(value, list):
        return value[:_LINES_MAX]
    return [] if value is None else [value]


def _row(value: object) -> str:
    texts = {
        name: text for name, kind in _COLUMNS.items() if (text := _text(_mapping(value).get(name), kind))
    }
    return json.dumps(texts) if texts else ""


def _nothing(value: object) -> str:
    return "absent" if value is None or value in ("", [], {}) else "no answer of its kind"


def _reason(why: object) -> str:
    text = _clean(why) if isinstance(why, str) else ""
    for reason, pattern in _REASONS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return reason
    return text[:_REASON_MAX] or "the host did not say why"


def _require(facts: Facts, result: CommandResult) -> None:
    """Refuse an answer without facts: PowerShell that is too old, too locked down, or none at all."""
    if facts:
        return
    if result.truncated:
        raise PeerFailedError(
            f"the host answered with more than {_LIMIT} bytes",
            hint="See what its PowerShell prints by itself.",
        )
    words = _clean((result.stderr or result.stdout)[:_REASON_MAX].decode("utf-8", "replace"))
    said = f", and said: {words}" if words else ""
    raise PeerFailedError(
        f"the host answered the facts script with exit status {result.exit_status} and no facts{said}",
        hint="It takes Windows PowerShell 3.0 or later in its full language mode, as installed since 2012.",
    )
