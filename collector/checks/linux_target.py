"""Does the dump fit where it goes, and does it stay there?"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from collector.checks.family import Family, family
from collector.checks.kdump_config import SOURCES, KdumpConfig, Kind, Target, config
from collector.checks.linux_memory import estimate, ram_bytes
from collector.checks.proof import calibrated
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.audit import DumpEstimate
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict

_GIB = 1024**3
_MARGIN = 1.3  # an estimate is one
_VOLATILE = ("tmpfs", "ramfs", "overlay")
_WHOLE = 31  # makedumpfile -d: all that can be left out
_USER_PAGES = 8
_KEPT_FREE_MIB = 64  # KDUMP_FREE_DISK_SIZE of SUSE's kdump, unless it is set
_DF_COLUMNS = 6
_SEARCH = 0o1  # of a folder's mode, for others: to reach the files in it
_KNOWN_KERNELS = (
    ((1, 6, 5), (4, 19)),
    ((1, 6, 8), (5, 9)),
    ((1, 7, 6), (6, 11)),
    ((1, 7, 8), (6, 17)),
)
"""Up to this version of makedumpfile, the last kernel it knows: its releases' LATEST_VERSION, and what was
found (makedumpfile issue 20, sonic-buildimage issue 25890). Releases between are given the benefit."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system, and the bytes that are free in it; None when `df` did not tell."""

    device: str
    point: str
    kind: str
    options: tuple[str, ...]
    free: int | None


def dump_estimate(facts: Facts) -> DumpEstimate | None:
    """The estimate for what the host's kdump is configured to leave out."""
    found = config(facts)
    level = found.target.level if found else _WHOLE
    return calibrated(estimate(facts, level if level is not None else 0), facts)


def target_supported(facts: Facts) -> Verdict | None:
    """TG-1."""
    found = config(facts)
    if found is None:
        return no_config("TG-1", facts)
    if found.keys.get("KDUMP_DUMPFORMAT") == "none":
        return bad("TG-1", "KDUMP_DUMPFORMAT is none: no dump is written", Level.CRITICAL)
    if found.keys.get("USE_KDUMP") == "0":
        return bad("TG-1", "USE_KDUMP is 0: kdump-tools does nothing", Level.CRITICAL)
    if "btrfs" in found.keys and found.family is Family.RHEL:
        return bad("TG-1", "the target is on btrfs, which kdump does not support there")
    target = found.target
    place = f"{target.device}:{target.path}" if target.device else target.path
    left_out = "the whole memory" if target.level is None else f"dump level {target.level}"
    return good("TG-1", f"{target.kind} {place}, {left_out}")


def space(facts: Facts) -> Verdict | None:
    """TG-2: all of memory is safe, the estimate and a margin is enough, less than the estimate is not."""
    place = _local_place(facts)
    if place is None:
        return no_config("TG-2", facts) if config(facts) is None else None
    size, ram = dump_estimate(facts), ram_bytes(facts)
    mount = _mount_of(place, facts)
    if size is None or ram is None or value(facts, "mounts") is None or value(facts, "space") is None:
        return unknown("TG-2", facts, "meminfo", "mounts", "space")
    if mount is None or mount.free is None:
        return Verdict(
            "TG-2", Level.UNKNOWN, f"the file system of {_text(place)} is not mounted, or df does not list it"
        )
    text = (
        f"{mount.free / _GIB:.1f} GiB free at {mount.point}, about {size.bytes / _GIB:.1f} GiB needed, "
        f"{ram / _GIB:.1f} GiB at most"
    )
    if mount.free >= min(ram, size.bytes * _MARGIN):
        return good("TG-2", text)
    return bad("TG-2", text, Level.CRITICAL if mount.free < size.bytes else Level.WARNING)


def mounted(facts: Facts) -> Verdict | None:
    """TG-3."""
    place = _local_place(facts)
    if place is None:
        return no_config("TG-3", facts) if config(facts) is None else None
    if value(facts, "mounts") is None:
        return unknown("TG-3", facts, "mounts")
    mount = _mount_of(place, facts)
    if mount is None:
        return bad("TG-3", f"{_text(place)} is not mounted")
    trouble = ""
    if mount.kind in _VOLATILE:
        trouble = f"{_text(place)} is on {mount.kind}, which does not outlive the crash"
    elif "ro" in mount.options:
        trouble = f"{mount.point} is mounted read-only"
    elif place.path == "/var/crash" and not place.device and is_absent(facts, "folders"):
        trouble = "/var/crash does not exist"
    if trouble:
        return bad("TG-3", trouble)
    return good("TG-3", f"{_text(place)} is on {mount.device} ({mount.kind}), mounted at {mount.point}")


def deleted_when_full(facts: Facts) -> Verdict | None:
    """TG-5: kdump-save of SUSE deletes a finished dump that leaves too little free space behind."""
    found, place = config(facts), _local_place(facts)
    if family(facts) is not Family.SUSE or found is None or place is None:
        return None
    mount, size = _mount_of(place, facts), dump_estimate(facts)
    if mount is None or mount.free is None or size is None:
        return unknown("TG-5", facts, "meminfo", "mounts", "space")
    text = found.keys.get("KDUMP_FREE_DISK_SIZE") or str(_KEPT_FREE_MIB)
    keep = int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else _KEPT_FREE_MIB  # noqa: PLR2004
    if mount.free - size.bytes < keep * 1024**2:
        return bad("TG-5", f"less than {keep} MiB would stay free: SUSE's kdump deletes the dump it wrote")
    return good("TG-5", f"more than {keep} MiB stay free")


def retention(facts: Facts) -> Verdict | None:
    """TG-6."""
    found = config(facts)
    if family(facts) is Family.RHEL:
        return None
    if found is None:
        return no_config("TG-6", facts)
    name = "KDUMP_NUM_DUMPS" if found.family is Family.DEBIAN else "KDUMP_KEEP_OLD_DUMPS"
    kept = found.keys.get(name, "")
    if kept == ("1" if found.family is Family.DEBIAN else "-1"):
        return bad("TG-6", f"{name} is {kept}: the next dump deletes this one")
    return good("TG-6", f"{name} is {kept or 'not set'}")


def contents(facts: Facts) -> Verdict | None:
    """TG-9."""
    found = config(facts)
    if found is None:
        return no_config("TG-9", facts)
    level = found.target.level
    if level is None:
        return bad("TG-9", "nothing is left out: the dump is as large as the memory")
    if is_absent(facts, "makedumpfile"):
        return bad("TG-9", "makedumpfile is not installed: the dump is as large as the memory")
    if not level & _USER_PAGES:
        return bad("TG-9", f"dump level {level} keeps user pages: large, and full of other people's data")
    return good("TG-9", f"dump level {level} leaves user pages out")


def afterwards(facts: Facts) -> Verdict | None:
    """TG-10: a host that waits for somebody at its console is not fetched from."""
    found = config(facts)
    if found is None:
        return no_config("TG-10", facts)
    keys = found.keys
    failure = keys.get("failure_action") or keys.get("default") or ""
    if failure in ("shell", "halt", "poweroff"):
        return bad("TG-10", f"failure_action is {failure}: after a dump that failed the host stays down")
    if keys.get("final_action") in ("halt", "poweroff"):
        return bad("TG-10", f"final_action is {keys['final_action']}: after the dump the host stays down")
    if keys.get("KDUMP_IMMEDIATE_REBOOT", "").lower() in ("no", "false"):
        return bad("TG-10", "KDUMP_IMMEDIATE_REBOOT is no: after the dump the host waits at its console")
    if keys.get("KDUMP_CONTINUE_ON_ERROR", "").lower() in ("no", "false"):
        return bad(
            "TG-10", "KDUMP_CONTINUE_ON_ERROR is no: after a dump that failed the host waits in a shell"
        )
    return good("TG-10", "the host reboots by itself after the dump")


def encrypted(facts: Facts) -> Verdict | None:
    """TG-11: the capture kernel has nobody to ask for a passphrase."""
    place = _local_place(facts)
    if place is None:
        return no_config("TG-11", facts) if config(facts) is None else None
    if is_absent(facts, "encrypted"):
        return good("TG-11", "no encrypted volume is open")
    if value(facts, "encrypted") is None:
        return unknown("TG-11", facts, "encrypted")
    mount = _mount_of(place, facts)
    names = [line.partition("CRYPT-")[2].partition("-")[2] for line in lines(facts, "encrypted")]
    device = mount.device if mount else place.device
    if any(name and name.endswith(posixpath.basename(device)) for name in names):
        return bad("TG-11", f"{device} is encrypted: the capture kernel cannot open it by itself")
    if device.startswith(("/dev/mapper/", "/dev/dm-")):
        return Verdict("TG-11", Level.UNKNOWN, f"whether {device} lies on an encrypted volume cannot be told")
    return good("TG-11", f"{device} is not encrypted")


def size_and_time(facts: Facts) -> Verdict | None:
    """TG-4."""
    found = dump_estimate(facts)
    if found is None:
        return unknown("TG-4", facts, "meminfo")
    return good("TG-4", f"about {found.bytes / _GIB:.1f} GiB in {found.seconds:.0f} s: {found.how}")


def raw_device(facts: Facts) -> Verdict | None:
    """TG-12: save_raw of kdump-utils copies the dump to `path`, and wipes it off the device."""
    found = config(facts)
    if found is None:
        return no_config("TG-12", facts)
    if found.target.kind is not Kind.RAW:
        return None
    return good("TG-12", f"the dump lies on {found.target.device} until kdump's service has started again")


def knows_the_kernel(facts: Facts) -> Verdict | None:
    """TG-13: a makedumpfile that is older than the kernel may take free pages for used ones, or fail."""
    found = config(facts)
    if is_absent(facts, "makedumpfile") or (found is not None and found.target.level is None):
        return None
    ours, kernel = (_version(value(facts, name)) for name in ("makedumpfile_version", "release"))
    if len(ours) < len(_KNOWN_KERNELS[0][0]) or not kernel:
        return unknown("TG-13", facts, "makedumpfile_version", "release")
    newest = next((last for version, last in _KNOWN_KERNELS if ours[:3] <= version), None)
    name = ".".join(map(str, ours[:3]))
    if newest is None or kernel[:2] <= newest:
        return good("TG-13", f"nothing is known against makedumpfile {name} with this kernel")
    last = ".".join(map(str, newest))
    return bad(
        "TG-13", f"makedumpfile {name} knows kernels up to {last}, and this one is {value(facts, 'release')}"
    )


def readable_by_all(facts: Facts) -> Verdict | None:
    """SEC-1: kdump-tools writes the dump with mode 0644, so that only the folder keeps others out."""
    found, place = config(facts), _local_place(facts)
    if found is None:
        return no_config("SEC-1", facts)
    if found.family is not Family.DEBIAN or place is None or place.path != "/var/crash":
        return None
    mode = value(facts, "crash_mode")
    if mode is None or not mode.isdecimal() or not mode.isascii():
        return unknown("SEC-1", facts, "crash_mode")
    if int(mode[-1]) & _SEARCH:
        return bad(
            "SEC-1", f"/var/crash has mode {mode}: every account can read the kernel's memory in its dumps"
        )
    return good("SEC-1", f"/var/crash has mode {mode}")


def free_at(path: str, facts: Facts) -> int | None:
    """Bytes that are free where `path` lies; None when that was not read."""
    mount = _mount_of(Target(Kind.LOCAL, path), facts)
    return mount.free if mount else None


def no_config(check: str, facts: Facts) -> Verdict:
    """UNKNOWN, because kdump's configuration is."""
    kin = family(facts)
    if kin is None and value(facts, "os_release") is None:
        return unknown(check, facts, "os_release")
    if kin is None:
        return Verdict(check, Level.UNKNOWN, "the configuration of this distribution's kdump is not known")
    return unknown(check, facts, SOURCES[kin])


def _version(text: str | None) -> tuple[int, ...]:
    """The first version in a text, such as (1, 7, 2); empty without one."""
    found = re.search(r"(?<![\d.])(\d{1,4}(?:\.\d{1,4}){1,2})", text or "")
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _text(target: Target) -> str:
    return f"{target.device}:{target.path}" if target.device else target.path


def _local_place(facts: Facts) -> Target | None:
    found: KdumpConfig | None = config(facts)
    return found.target if found and found.target.kind is Kind.LOCAL else None


def _mount_of(target: Target, facts: Facts) -> Mount | None:
    """Where the target's device is mounted, or else the mount that its path lies in."""
    free = _free(facts)
    best: Mount | None = None
    for line in lines(facts, "mounts"):
        words = line.split()
        if len(words) < 4:  # noqa: PLR2004 - device, point, type, options: proc(5)
            continue
        device, point, kind, options = words[:4]
        mount = Mount(device, point, kind, tuple(options.split(",")), free.get(point))
        if target.device:
            best = mount if device == target.device else best
        elif _within(target.path, point) and (best is None or len(point) >= len(best.point)):
            best = mount
    return best


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _free(facts: Facts) -> dict[str, int]:
    """Bytes that are free, by mount point, from `df -Pk`."""
    free: dict[str, int] = {}
    for line in lines(facts, "space"):
        words = line.split()
        if len(words) >= _DF_COLUMNS and words[3].isascii() and words[3].isdecimal() and len(words[3]) < 20:  # noqa: PLR2004
            free[" ".join(words[5:])] = int(words[3]) * 1024
    return free
