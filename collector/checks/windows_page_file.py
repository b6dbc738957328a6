"""Windows writes a dump into its page file, or a dedicated dump file: is there one that is large enough?"""

from __future__ import annotations

import re

from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.checks.windows_memory import Requirement, requirement
from collector.checks.windows_read import (
    DumpType,
    PageFile,
    drive,
    dump_file,
    dump_type,
    on_drive,
    page_files,
    unread,
    volume_of,
    whole,
)
from collector.model.fact import Facts, number, value
from collector.model.verdict import Level, Verdict

_MIB, _GIB = 1024**2, 1024**3
_CLUSTER_STORAGE = "\\clusterstorage\\"
_SETTING = re.compile(
    r"(?P<path>.+?)(?: +(?P<initial>\d{1,9}) +\d{1,9})?"
)  # path, sizes in MB; 0 0: by Windows
_BY_WINDOWS = "?:"  # any drive


def placed(facts: Facts) -> Verdict | None:
    """WPF-1."""
    if dump_type(facts) is DumpType.NONE:
        return None
    if value(facts, "dedicated_dump_file"):
        return good("WPF-1", "the dump goes into the dedicated dump file")
    if missing := unread(facts, "dedicated_dump_file", "page_files"):
        return unknown("WPF-1", facts, *missing)
    files = page_files(facts)
    if not files:
        return bad("WPF-1", "the host has no page file, and no dedicated dump file: no dump can be written")
    if all(one.temporary for one in files):
        return bad(
            "WPF-1", "the only page file is the temporary one that Windows makes when there is no other"
        )
    return _on_boot_volume(files, facts)


def _on_boot_volume(files: list[PageFile], facts: Facts) -> Verdict:
    """Newer pages of Microsoft want it there; by the oldest it may be anywhere since Windows 7."""
    boot = drive(facts)
    if boot is None:
        return unknown("WPF-1", facts, "system_drive")
    here = [one.path for one in files if on_drive(one.path, boot)]
    if here:
        return good("WPF-1", f"{here[0]} is on the boot volume")
    path = files[0].path
    return bad("WPF-1", f"{path} is not on {boot.upper()}, the boot volume: it may work", Level.WARNING)


def large_enough(facts: Facts) -> Verdict | None:
    """WPF-2: the size it has now counts, for it cannot grow during the crash."""
    if dump_type(facts) is DumpType.NONE or value(facts, "dedicated_dump_file"):
        return None
    if unread(facts, "page_files"):
        return unknown("WPF-2", facts, "page_files")
    files, boot = page_files(facts), drive(facts)
    if not files:
        return None
    need = requirement(facts)
    if need is None:
        return unknown("WPF-2", facts, "crash_dump_enabled", "ram")
    here = [one for one in files if boot and on_drive(one.path, boot)] or files
    return _sized("WPF-2", max(one.bytes for one in here), need, facts, "the page file has")


def in_force(facts: Facts) -> Verdict | None:
    """WPF-3: page files are made and removed at boot."""
    if missing := unread(facts, "paging_files", "page_files"):
        return unknown("WPF-3", facts, *missing)
    files = {one.path.casefold(): one.bytes for one in page_files(facts)}
    for line in lines(facts, "paging_files"):
        match = _SETTING.fullmatch(line)
        path = match["path"] if match else line
        initial = int(match["initial"] or 0) if match else 0
        if path.startswith(_BY_WINDOWS):
            continue
        if path.casefold() not in files:
            return bad("WPF-3", f"{path} is configured, and is not there before the next restart")
        if initial * _MIB > files[path.casefold()]:
            return bad("WPF-3", f"{path} is to have {initial} MB, and gets them at the next restart")
    return good("WPF-3", "the page files are as they are configured")


def dedicated(facts: Facts) -> Verdict | None:
    """WDD-1: any local fixed volume will do that could hold a page file, cluster storage will not."""
    if is_absent(facts, "dedicated_dump_file"):
        return None
    path = value(facts, "dedicated_dump_file")
    if path is None or value(facts, "volumes") is None:
        return unknown("WDD-1", facts, "dedicated_dump_file", "volumes")
    volume, need = volume_of(path, facts), requirement(facts)
    if volume is None or not volume.fixed or _CLUSTER_STORAGE in path.casefold():
        return bad("WDD-1", f"{path} is not on a local fixed volume")
    has = (whole(value(facts, "dump_file_size")) or 0) * _MIB or _size_of(path, facts)
    if need is None or (not has and volume.free is None):
        return unknown("WDD-1", facts, "crash_dump_enabled", "ram", "volumes")
    if has:
        return _sized("WDD-1", has, need, facts, f"{path} has")
    return _sized("WDD-1", volume.free or 0, need, facts, f"{path} is not there yet, and its volume has free")


def _size_of(path: str, facts: Facts) -> int | None:
    file = dump_file(facts, path)
    return whole(file.get("bytes")) if file else None


def _sized(check: str, size: int, need: Requirement, facts: Facts, what: str) -> Verdict:
    text = f"{what} {size / _GIB:.1f} GiB, and the {dump_type(facts)} dump needs {need.strict / _GIB:.1f} GiB"
    if size >= need.strict:
        return good(check, text)
    if size >= need.loose:
        return bad(check, f"{text} to be sure; {need.loose / _GIB:.1f} GiB may work", Level.WARNING)
    if number(facts, "ignore_page_file_size") == 1:
        return bad(check, f"{text}; IgnorePagefileSize lets Windows try all the same", Level.WARNING)
    return bad(check, f"{text}, {need.loose / _GIB:.1f} GiB at the very least")
