"""Is a capture kernel armed, large enough, and made for this host as it is now?"""

from __future__ import annotations

from collector.checks.family import Family, family
from collector.checks.kdump_config import config
from collector.checks.linux_memory import crash_bytes, ram_bytes, recommended_bytes
from collector.checks.linux_target import free_at, no_config
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, value
from collector.model.verdict import Level, Verdict

_MIB = 1024**2
_IMAGE_BYTES = 64 * _MIB  # a capture image is 20 to 60 MiB, and is written beside the old one


def armed(facts: Facts) -> Verdict | None:
    """KD-1: what the kernel says, for a service that is active may have been unloaded since."""
    if value(facts, "fadump_enabled") == "1":
        return None
    if is_absent(facts, "kexec_crash_loaded"):
        return bad("KD-1", "the kernel cannot load a capture kernel (no /sys/kernel/kexec_crash_loaded)")
    loaded = value(facts, "kexec_crash_loaded")
    if loaded is None:
        return unknown("KD-1", facts, "kexec_crash_loaded")
    if loaded == "1":
        return good("KD-1", "a capture kernel is loaded")
    return bad("KD-1", "no capture kernel is loaded: the NMI would reboot the host and leave no dump")


def large_enough(facts: Facts) -> Verdict | None:
    """KD-2: with a little less it may still work, with less than half it does not even boot."""
    size, ram = crash_bytes(facts), ram_bytes(facts)
    if size == 0 or value(facts, "fadump_enabled") == "1":
        return None
    if size is None or ram is None:
        return unknown("KD-2", facts, "kexec_crash_size", "meminfo")
    wanted = recommended_bytes(ram, value(facts, "machine") or "x86_64", family(facts))
    text = (
        f"{size // _MIB} MiB are reserved, {wanted // _MIB} MiB are advised "
        f"for {ram / 1024**3:.0f} GiB of memory"
    )
    if size >= wanted:
        return good("KD-2", text)
    return bad("KD-2", text, Level.CRITICAL if size < wanted // 2 else Level.WARNING)


def requested(facts: Facts) -> Verdict | None:
    """KD-3."""
    if value(facts, "cmdline") is None:
        return unknown("KD-3", facts, "cmdline")
    if "crashkernel=" in (value(facts, "cmdline") or "") or crash_bytes(facts):
        return good("KD-3", "the running kernel was booted with crashkernel=")
    if any("crashkernel=" in line.split("#", 1)[0] for line in lines(facts, "boot_crashkernel")):
        return bad("KD-3", "crashkernel= is configured, and takes effect only with the next boot")
    return bad("KD-3", "the running kernel was booted without crashkernel=")


def reserved(facts: Facts) -> Verdict | None:
    """KD-4."""
    if "crashkernel=" not in (value(facts, "cmdline") or ""):
        return None
    size = crash_bytes(facts)
    if size is None:
        return unknown("KD-4", facts, "kexec_crash_size")
    if size == 0:
        return bad("KD-4", "crashkernel= was given, and the kernel could not reserve the memory")
    return good("KD-4", f"{size // _MIB} MiB are reserved")


def enabled(facts: Facts) -> Verdict | None:
    """KD-5."""
    units = lines(facts, "kdump_enabled")
    if units:
        return good("KD-5", f"{units[0].rpartition('/')[2]} starts at boot")
    if is_absent(facts, "kdump_enabled") and family(facts):
        return bad("KD-5", "no kdump service starts at boot")
    if is_absent(facts, "kdump_enabled"):
        return Verdict("KD-5", Level.UNKNOWN, "the name of this distribution's kdump service is not known")
    return unknown("KD-5", facts, "kdump_enabled")


def firmware_assisted(facts: Facts) -> Verdict | None:
    """KD-6: arch/powerpc/kernel/fadump.c."""
    if value(facts, "fadump_enabled") != "1":
        return None
    registered = value(facts, "fadump_registered")
    if registered is None:
        return unknown("KD-6", facts, "fadump_registered")
    if registered == "1":
        return good("KD-6", "the firmware-assisted dump is registered")
    return bad("KD-6", "the firmware-assisted dump is enabled and not registered")


def lockdown(facts: Facts) -> Verdict | None:
    """KD-7: with Secure Boot only a signed capture kernel can be loaded; one that is loaded has passed."""
    secure, locked = value(facts, "secure_boot"), value(facts, "lockdown") or ""
    if secure is None and not is_absent(facts, "secure_boot"):
        return unknown("KD-7", facts, "secure_boot")
    if value(facts, "kexec_load_disabled") == "1":
        return bad(
            "KD-7", "kernel.kexec_load_disabled is 1: after a change of memory it cannot be loaded anew"
        )
    strict = (secure or "").endswith("\x01") or "[integrity]" in locked or "[confidentiality]" in locked
    if not strict:
        return good("KD-7", "neither Secure Boot nor lockdown is on")
    loaded = value(facts, "kexec_crash_loaded")
    if loaded is None:
        return unknown("KD-7", facts, "kexec_crash_loaded")
    if loaded == "1":
        return good("KD-7", "Secure Boot or lockdown is on, and a capture kernel passed it")
    return bad("KD-7", "Secure Boot or lockdown is on, and no capture kernel passed it")


def image(facts: Facts) -> Verdict | None:
    """KD-8."""
    if family(facts) is None:
        return None
    release, images = value(facts, "release"), lines(facts, "kdump_image")
    if release is None or (not images and not is_absent(facts, "kdump_image")):
        return unknown("KD-8", facts, "release", "kdump_image")
    if not images:
        return bad("KD-8", f"there is no capture image for the running kernel {release}")
    return good("KD-8", f"{images[0]} is there")


def stale(facts: Facts) -> Verdict | None:
    """KD-9: Debian's image holds no copy, its capture environment boots the real root."""
    if family(facts) is Family.DEBIAN:
        return None
    if is_absent(facts, "kdump_newer"):
        return good("KD-9", "no configuration is newer than the capture kernel's image")
    changed = lines(facts, "kdump_newer")
    if changed:
        return bad("KD-9", f"newer than the capture kernel's image: {', '.join(changed)}")
    return unknown("KD-9", facts, "kdump_newer")


def cloned(facts: Facts) -> Verdict | None:
    """KD-10: machine-id(5) is made when a host first boots; an image that is older came from another one."""
    if is_absent(facts, "identity_newer"):
        return good("KD-10", "the capture image was made on this host")
    if value(facts, "identity_newer") is not None:
        return bad("KD-10", "the capture image is older than this host's identity: it came with a clone")
    fact = facts.get("identity_newer")
    return (
        None if fact is not None and fact.missing == "no image" else unknown("KD-10", facts, "identity_newer")
    )


def rebuilt(facts: Facts) -> Verdict | None:
    """KD-11: with it kdumpctl never makes the image anew, kdump.conf(5)."""
    if family(facts) is not Family.RHEL:
        return None
    found = config(facts)
    if found is None:
        return no_config("KD-11", facts)
    if found.keys.get("force_no_rebuild") == "1":
        return bad("KD-11", "force_no_rebuild is 1: the capture image stays as it is, whatever changes")
    return good("KD-11", "kdump makes its image anew when something changes")


def can_rebuild(facts: Facts) -> Verdict | None:
    """KD-13: the image for the running kernel is made of its modules, and RHEL keeps it in /boot."""
    release = value(facts, "release")
    if release is None or (value(facts, "modules") is None and not is_absent(facts, "modules")):
        return unknown("KD-13", facts, "release", "modules")
    if is_absent(facts, "modules"):
        return bad(
            "KD-13", f"the running kernel {release} is not installed any more: no image can be made for it"
        )
    free = free_at("/boot", facts)
    if family(facts) is Family.RHEL and free is not None and free < _IMAGE_BYTES:
        return bad("KD-13", f"{free // _MIB} MiB are free in /boot, too few for a new capture image")
    return good("KD-13", f"the running kernel {release} is installed")
