"""Does the dump carry the names and types that it takes to read it, or are they kept elsewhere?"""

from __future__ import annotations

import re

from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, value
from collector.model.verdict import Verdict

_TYPES = "/sys/kernel/btf/vmlinux"
_NAMES_IN_DUMP = (6, 0)  # Linux since which VMCOREINFO says where kallsyms is: kernel/kallsyms.c
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)


def explains_itself(facts: Facts) -> Verdict | None:
    """TG-14: names are in the dump since Linux 6.0, types with BTF; else the host has to keep them."""
    release = _VERSION.match(value(facts, "release") or "")
    if release is None or (value(facts, "symbols") is None and not is_absent(facts, "symbols")):
        return unknown("TG-14", facts, "symbols", "release")
    kept = lines(facts, "symbols")
    if any("vmlinux" in path and path != _TYPES for path in kept):
        return good("TG-14", "the kernel's debug symbols are installed")
    lacking = [] if _TYPES in kept else ["the kernel carries no types (CONFIG_DEBUG_INFO_BTF)"]
    named = (int(release[1]), int(release[2])) >= _NAMES_IN_DUMP
    if not named and not any("System.map" in path for path in kept):
        lacking.append("a kernel before 6.0 does not say where its names are, and there is no System.map")
    if lacking:
        return bad("TG-14", "; ".join(lacking))
    return good("TG-14", "a dump of this kernel can be read without debug packages")
