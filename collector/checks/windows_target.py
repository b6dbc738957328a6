"""After the restart Windows copies the dump out of the page file: is there room, and does it stay there?"""

from __future__ import annotations

from collector.checks.proof import by_our_own
from collector.checks.rule import bad, good, lines, unknown
from collector.checks.windows_memory import dump_estimate, ram_bytes, requirement
from collector.checks.windows_read import (
    DumpType,
    Event,
    day,
    drive,
    dump_file,
    dump_type,
    events,
    rows,
    unread,
    volume_of,
    whole,
)
from collector.checks.windows_record import AT_BOOT, DUMP_FAILED, DUMP_WRITTEN
from collector.model.fact import Facts, number, value
from collector.model.verdict import Level, Verdict

_GIB = 1024**3
_MARGIN = 1.3  # an estimate is one
_ROOM_OF_A_CLIENT = 25 * _GIB  # Windows Internals: a client with less free deletes the dump that it reported
_WORKSTATION, _STANDALONE_WORKSTATION = (
    1,
    0,
)  # Win32_OperatingSystem.ProductType, Win32_ComputerSystem.DomainRole

_BUSES = {6: "Fibre Channel", 9: "iSCSI"}  # STORAGE_BUS_TYPE of winioctl.h
_VIRTIO = ("vioscsi", "viostor")

_SAME_CRASH_S = 86_400  # records so soon after our NMI are of the crash that it made
_BOOT_SLACK_S = 120  # the clock may be set during the boot


def place(facts: Facts) -> Verdict | None:
    """WTG-1."""
    path = value(facts, "dump_file")
    if path is None:
        return unknown("WTG-1", facts, "dump_file")
    if path.startswith("\\\\"):
        return bad("WTG-1", f"{path} is on a share: Windows copies the dump to local drives only")
    if value(facts, "volumes") is None:
        return unknown("WTG-1", facts, "volumes")
    volume = volume_of(path, facts)
    if volume is None or not volume.fixed:
        return bad("WTG-1", f"{path} is not on a local fixed volume")
    return good("WTG-1", f"the dump is copied to {path}")


def space(facts: Facts) -> Verdict | None:
    """WTG-2: the most that it can become is safe, the estimate with a margin is enough, less of it is not."""
    kind = dump_type(facts)
    if kind in (DumpType.NONE, DumpType.SMALL):
        return None
    size, need, ram, path = (
        dump_estimate(facts),
        requirement(facts),
        ram_bytes(facts),
        value(facts, "dump_file"),
    )
    if size is None or need is None or ram is None or path is None or value(facts, "volumes") is None:
        return unknown("WTG-2", facts, "crash_dump_enabled", "ram", "dump_file", "volumes")
    volume, older = volume_of(path, facts), dump_file(facts, path)
    if volume is None:
        return None  # WTG-1 says so
    if volume.free is None:
        return unknown("WTG-2", facts, "volumes")
    replaced = whole(older.get("bytes")) or 0 if older and number(facts, "overwrite") == 1 else 0
    room = volume.free + replaced
    text = f"{room / _GIB:.1f} GiB for {path}, about {size.bytes / _GIB:.1f} GiB needed"
    if room >= min(need.strict, ram, int(size.bytes * _MARGIN)):
        return good("WTG-2", text)
    return bad("WTG-2", text, Level.CRITICAL if room < size.bytes else Level.WARNING)


def replaces(facts: Facts) -> Verdict | None:
    """WCC-8."""
    overwrite, path = number(facts, "overwrite"), value(facts, "dump_file")
    if overwrite is None or path is None:
        return unknown("WCC-8", facts, "overwrite", "dump_file")
    if overwrite != 0:
        return good("WCC-8", "a new dump takes the place of the old one")
    if unread(facts, "dump_files"):
        return unknown("WCC-8", facts, "dump_files")
    if dump_file(facts, path) is None:
        return bad("WCC-8", "Overwrite is 0: after the first dump no other is kept", Level.WARNING)
    return bad("WCC-8", f"Overwrite is 0 and {path} exists: the dump would not be kept")


def kept(facts: Facts) -> Verdict | None:
    """WCC-9: a server keeps its dump, and so does a member of a domain."""
    product, role = number(facts, "product_type"), number(facts, "domain_role")
    if product is None or role is None:
        return unknown("WCC-9", facts, "product_type", "domain_role")
    if product != _WORKSTATION or role != _STANDALONE_WORKSTATION:
        return good("WCC-9", "Windows keeps its dump, as on every server and member of a domain")
    if number(facts, "always_keep_memory_dump") == 1:
        return good("WCC-9", "AlwaysKeepMemoryDump is 1")
    boot, size = drive(facts), dump_estimate(facts)
    volume = volume_of(f"{boot}\\", facts) if boot else None
    if volume is None or volume.free is None or size is None:
        return unknown("WCC-9", facts, "volumes", "crash_dump_enabled", "ram")
    if volume.free - size.bytes < _ROOM_OF_A_CLIENT:
        return bad("WCC-9", "less than 25 GiB would stay free: Windows deletes the dump after it is reported")
    return good("WCC-9", "more than 25 GiB stay free")


def storage(facts: Facts) -> Verdict | None:
    """WTG-3: a copy of the boot disk's driver writes the dump, and not every driver can."""
    if unread(facts, "storage_drivers"):
        return unknown("WTG-3", facts, "storage_drivers")
    drivers = [name.casefold() for name in lines(facts, "storage_drivers")]
    buses = [_BUSES.get(whole(row.get("bus")) or 0) for row in rows(facts, "boot_disks")]
    risky = [name for name in drivers if name in _VIRTIO] + [f"a boot disk on {bus}" for bus in buses if bus]
    if not risky:
        if unread(facts, "boot_disks"):
            return unknown("WTG-3", facts, "boot_disks")
        return good("WTG-3", f"{', '.join(drivers) or 'the boot disk'}: not known to fail")
    if proven(facts).level is Level.OK:
        return good("WTG-3", f"{', '.join(risky)} has carried a dump before")
    return bad("WTG-3", f"{', '.join(risky)}: known to fail in some versions and setups, and not proved here")


def proven(facts: Facts) -> Verdict:
    """WPR-1: by our own last NMI, or by what the System log still holds, whichever is newer."""
    ours = facts.get("proof_whole")
    if ours is not None and ours.value and max(_newest(facts)) <= ours.time.timestamp() + _SAME_CRASH_S:
        return by_our_own("WPR-1", ours, facts)
    if missing := unread(facts, "dump_events", "bug_checks"):
        return unknown("WPR-1", facts, *missing)
    written, failed = _newest(facts)
    if written > failed:
        return good("WPR-1", f"a dump was written on {day(written)}")
    if failed:
        event = next(one for one in events(facts, "dump_events") if one.time == failed)
        return bad("WPR-1", f"{DUMP_FAILED[event.id]} on {day(failed)}, and none since")
    return bad("WPR-1", "the System log knows of no dump of this host")


def complaints(facts: Facts) -> Verdict | None:
    """WPR-2: what Windows said of its dump settings when it started last."""
    if unread(facts, "dump_events"):
        return unknown("WPR-2", facts, "dump_events")
    boot = number(facts, "boot_time")
    if boot is None:
        return unknown("WPR-2", facts, "boot_time")
    seen = [
        one for one in events(facts, "dump_events") if one.id in AT_BOOT and one.time > boot - _BOOT_SLACK_S
    ]
    if seen:
        return bad("WPR-2", f"{AT_BOOT[seen[0].id]} (volmgr {seen[0].id}, {day(seen[0].time)})")
    return good("WPR-2", "Windows did not complain of its dump settings when it started")


def last_crash(facts: Facts) -> Verdict | None:
    """WPR-3: restarts that nobody asked for (Kernel-Power 41), and the bug checks among them."""
    if missing := unread(facts, "restarts", "bug_checks"):
        return unknown("WPR-3", facts, *missing)
    said = [
        f"the last bug check was {_code(one)} on {day(one.time)}" for one in events(facts, "bug_checks")[:1]
    ]
    said += [
        f"the last restart that nobody asked for was on {day(one.time)}, {_after(one)}"
        for one in events(facts, "restarts")[:1]
    ]
    return good("WPR-3", "; ".join(said) or "the System log knows of no crash")


def _code(crash: Event) -> str:
    """The bug check's number; its four parameters, in brackets behind it, are for those who read the dump."""
    return (crash.values[0].split() or ["?"])[0] if crash.values else "?"


def _after(restart: Event) -> str:
    """What came before it: Kernel-Power 41 holds the bug check's code, 0 for none."""
    code = whole(restart.values[0]) if restart.values else None
    return (
        f"after bug check 0x{code:x}" if code else "without a bug check, as after a reset or a loss of power"
    )


def _newest(facts: Facts) -> tuple[int, int]:
    """When a dump was written last, and when one failed last; 0 for never."""
    recorded = events(facts, "dump_events")
    written = [one.time for one in recorded if one.id == DUMP_WRITTEN]
    written += [one.time for one in events(facts, "bug_checks") if _names_a_dump(one.values)]
    failed = [one.time for one in recorded if one.id in DUMP_FAILED]
    return max(written, default=0), max(failed, default=0)


def _names_a_dump(values: tuple[str, ...]) -> bool:
    return any(text.casefold().endswith(".dmp") for text in values[1:2])
