"""Does an NMI become a crash on Windows, and is the crash set up to leave a dump behind?"""

from __future__ import annotations

from collector.checks.rule import bad, good, lines, unknown
from collector.checks.windows_memory import LARGE, ram_bytes
from collector.checks.windows_read import (
    WINDOWS_8,
    WINDOWS_10,
    DumpType,
    drive,
    dump_type,
    rows,
    unread,
    version,
)
from collector.model.fact import Facts, number, value
from collector.model.verdict import Verdict

_GIB = 1024**3
_KEYBOARDS = {"keyboard_ps2": "a PS/2", "keyboard_usb": "a USB", "keyboard_hyperv": "the Hyper-V"}
_ALTERNATES = ("keyboard_ps2_keys", "keyboard_usb_keys")
_BITLOCKER_FILTER = "dumpfve.sys"
_PROTECTED = 1  # Win32_EncryptableVolume.ProtectionStatus


def nmi(facts: Facts) -> Verdict | None:
    """WNMI-1: since Windows 8 and 2012 every NMI of unknown reason is bug check 0x80."""
    kernel = version(facts)
    if kernel is None:
        return unknown("WNMI-1", facts, "os_version")
    if kernel >= WINDOWS_8:
        return good("WNMI-1", f"Windows {kernel[0]}.{kernel[1]} turns every NMI into bug check 0x80")
    if unread(facts, "nmi_crash_dump"):
        return unknown("WNMI-1", facts, "nmi_crash_dump")
    if number(facts, "nmi_crash_dump") == 1:
        return good("WNMI-1", "NMICrashDump is 1: an NMI becomes bug check 0x80")
    return bad("WNMI-1", f"Windows {kernel[0]}.{kernel[1]} without NMICrashDump: the NMI would be ignored")


def keyboard(facts: Facts) -> Verdict | None:
    """WNMI-2."""
    if len(unread(facts, *_KEYBOARDS)) == len(_KEYBOARDS):
        return unknown("WNMI-2", facts, *_KEYBOARDS)
    able = [which for name, which in _KEYBOARDS.items() if number(facts, name) == 1]
    others = [name for name in _ALTERNATES if number(facts, name)]
    if able and others:
        return good("WNMI-2", "CrashOnCtrlScroll and Dump1Keys are both set, and only one of them may be")
    if others:
        return good("WNMI-2", "the keys of Dump1Keys and Dump2Key can crash the host")
    if able:
        return good(
            "WNMI-2", f"right Ctrl and Scroll Lock twice can crash the host, on {' or '.join(able)} keyboard"
        )
    return good("WNMI-2", "no keyboard can crash the host")


def configured(facts: Facts) -> Verdict | None:
    """WCC-1."""
    kind = dump_type(facts)
    if kind is None:
        return unknown("WCC-1", facts, "crash_dump_enabled")
    if kind is DumpType.NONE:
        return bad("WCC-1", "CrashDumpEnabled is 0: Windows writes no dump")
    if kind is DumpType.SMALL:
        return bad("WCC-1", "CrashDumpEnabled is 3: a small dump shows one thread, and no reason of a hang")
    return good("WCC-1", f"Windows writes {kind} dumps")


def contents(facts: Facts) -> Verdict | None:
    """WCC-2: on a host with little memory nothing is gained by leaving user pages out."""
    kind, ram = dump_type(facts), ram_bytes(facts)
    if kind is None:
        return unknown("WCC-2", facts, "crash_dump_enabled")
    if kind in (DumpType.NONE, DumpType.SMALL):
        return None
    if not kind.kernel_only:
        return good("WCC-2", f"{kind} dumps hold the pages of processes too")
    if ram is None:
        return unknown("WCC-2", facts, "ram")
    if ram > LARGE:
        return good(
            "WCC-2", f"{kind} dumps leave the pages of processes out, as is advised for so much memory"
        )
    return bad("WCC-2", f"{kind} dumps leave the pages of processes out: why a process waits is not in them")


def not_too_large(facts: Facts) -> Verdict | None:
    """WCC-3."""
    kind, ram = dump_type(facts), ram_bytes(facts)
    if kind is None:
        return unknown("WCC-3", facts, "crash_dump_enabled")
    if kind is not DumpType.COMPLETE:
        return None
    if ram is None:
        return unknown("WCC-3", facts, "ram")
    if ram <= LARGE:
        return good("WCC-3", f"{ram / _GIB:.0f} GiB are written in minutes")
    kernel = version(facts)
    instead = "an active" if kernel is None or kernel >= WINDOWS_10 else "a kernel"
    return bad(
        "WCC-3", f"a complete dump of {ram / _GIB:.0f} GiB takes long: {instead} dump is what a hang needs"
    )


def filter_pages(facts: Facts) -> Verdict | None:
    """WCC-4."""
    if unread(facts, "filter_pages"):
        return unknown("WCC-4", facts, "filter_pages")
    if not number(facts, "filter_pages"):
        return None
    kernel = version(facts)
    if kernel is None:
        return unknown("WCC-4", facts, "os_version")
    if kernel < WINDOWS_10:
        return bad("WCC-4", f"FilterPages is 1, which Windows {kernel[0]}.{kernel[1]} does not know")
    return good("WCC-4", "FilterPages is 1, and this Windows knows it")


def encryption(facts: Facts) -> Verdict | None:
    """WCC-5."""
    if unread(facts, "dump_encryption"):
        return unknown("WCC-5", facts, "dump_encryption")
    if number(facts, "dump_encryption") != 1:
        return good("WCC-5", "dumps are not encrypted")
    certificate = value(facts, "dump_certificate")
    whose = f"certificate {certificate}" if certificate else "a certificate that could not be read"
    return bad("WCC-5", f"dumps are encrypted for {whose}: without its private key they cannot be read")


def allowed(facts: Facts) -> Verdict | None:
    """WCC-6."""
    if unread(facts, "guarded_host"):
        return unknown("WCC-6", facts, "guarded_host")
    if number(facts, "guarded_host"):
        return bad("WCC-6", "ForceDumpsDisabled is set: a guarded host writes no dump")
    return good("WCC-6", "nothing forbids dumps")


def restarts(facts: Facts) -> Verdict | None:
    """WCC-7."""
    again = number(facts, "auto_reboot")
    if again is None:
        return unknown("WCC-7", facts, "auto_reboot")
    if again == 0:
        return bad("WCC-7", "AutoReboot is 0: after the dump the host stays at its blue screen")
    return good("WCC-7", "the host restarts by itself after the dump")


def filters(facts: Facts) -> Verdict | None:
    """WCC-10: a driver in the dump's way can spoil it, and the boot volume's encryption needs its own."""
    if unread(facts, "dump_filters"):
        return unknown("WCC-10", facts, "dump_filters")
    found = [name.casefold() for name in lines(facts, "dump_filters")]
    strange = [name for name in found if name != _BITLOCKER_FILTER]
    if strange:
        return bad("WCC-10", f"every page of the dump passes through {', '.join(strange)}")
    if _BITLOCKER_FILTER in found:
        return good("WCC-10", "only BitLocker's own filter is in the dump's way")
    if unread(facts, "bitlocker") or drive(facts) is None:
        return unknown("WCC-10", facts, "bitlocker", "system_drive")
    if _boot_volume_is_protected(facts):
        return bad(
            "WCC-10", f"the boot volume is encrypted, and {_BITLOCKER_FILTER} is not among the DumpFilters"
        )
    return good("WCC-10", "no filter is in the dump's way")


def _boot_volume_is_protected(facts: Facts) -> bool:
    boot = drive(facts)
    return any(
        row.get("drive", "").casefold() == boot and row.get("protection") == str(_PROTECTED)
        for row in rows(facts, "bitlocker")
    )
