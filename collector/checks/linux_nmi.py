"""Does an NMI become a panic, and is it only the first one that does? Linux on x86, unless said otherwise.

The kernel's own rules are in arch/x86/kernel/nmi.c (`unknown_nmi_error`, `pci_serr_error`, `io_check_error`).
"""

from __future__ import annotations

import posixpath
import shlex

from collector.checks.family import Family, family
from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, number, value
from collector.model.verdict import Verdict

UNKNOWN_NMI = ("unknown_nmi_panic", "panic_on_unrecovered_nmi")
"""Either one, under /proc/sys/kernel, turns an NMI of unknown reason into a panic."""

_VIRTUAL = ("virtual", "kvm", "standard pc", "vmware", "hvm", "bochs", "openstack")
_SYSCTL_FOLDERS = ("/usr/lib", "/usr/local/lib", "/run", "/etc")  # sysctl.d(5), the later hides the earlier
_SYSRQ_ALL, _SYSRQ_DUMPS = 1, 0x8  # Documentation/admin-guide/sysrq.rst


def architecture(facts: Facts) -> Verdict | None:
    """NMI-7."""
    machine = value(facts, "machine")
    if machine is None:
        return unknown("NMI-7", facts, "machine")
    if machine.startswith(("x86_64", "i686", "i586", "ppc64")):
        return good("NMI-7", f"{machine} has a path from an NMI to a panic")
    return bad("NMI-7", f"{machine} has no general path from an NMI to a panic")


def unknown_nmi(facts: Facts) -> Verdict | None:
    """NMI-1: hpwdt panics on the NMI of HPE's iLO even when both settings are off."""
    if not _x86(facts):
        return None
    on = [name for name in UNKNOWN_NMI if value(facts, name) == "1"]
    if on:
        return good("NMI-1", f"kernel.{on[0]} is 1: an NMI becomes a panic")
    if all(value(facts, name) is None for name in UNKNOWN_NMI):
        return unknown("NMI-1", facts, *UNKNOWN_NMI)
    if _has_driver(facts, "hpwdt"):
        return good("NMI-1", "the hpwdt driver panics on the NMI of the iLO")
    return bad(
        "NMI-1", "kernel.unknown_nmi_panic and panic_on_unrecovered_nmi are 0: the NMI would be ignored"
    )


def system_error(facts: Facts) -> Verdict | None:
    """NMI-2."""
    return _physical_setting("NMI-2", "panic_on_unrecovered_nmi", facts)


def io_check(facts: Facts) -> Verdict | None:
    """NMI-3."""
    return _physical_setting("NMI-3", "panic_on_io_nmi", facts)


def persistent(facts: Facts) -> Verdict | None:
    """NMI-4: what is set now must come back with the next boot."""
    on = [name for name in UNKNOWN_NMI if value(facts, name) == "1"]
    if not on or not _x86(facts):
        return None
    if value(facts, "nmi_settings") is None and not is_absent(facts, "nmi_settings"):
        return unknown("NMI-4", facts, "nmi_settings")
    settings = sysctl_settings(facts)
    kept = [name for name in on if settings.get(name) == "1" or name in _command_line(facts)]
    if kept:
        return good("NMI-4", f"kernel.{kept[0]} is set again at each boot")
    return bad("NMI-4", f"kernel.{on[0]} is 1 now, and nothing sets it at the next boot")


def inherited_by_command_line(facts: Facts) -> Verdict | None:
    """NMI-5: kdump of RHEL and Debian hand the option on to the capture kernel, SUSE's strips it."""
    if value(facts, "cmdline") is None:
        return unknown("NMI-5", facts, "cmdline")
    if "unknown_nmi_panic" not in _command_line(facts):
        return good("NMI-5", "unknown_nmi_panic is not on the kernel command line")
    if family(facts) is Family.SUSE:
        return good("NMI-5", "SUSE's kdump strips unknown_nmi_panic from the capture kernel's command line")
    if any(
        "KDUMP_COMMANDLINE_REMOVE" in line and "unknown_nmi_panic" in line
        for line in lines(facts, "kdump_sysconfig")
    ):
        return good("NMI-5", "KDUMP_COMMANDLINE_REMOVE strips unknown_nmi_panic for the capture kernel")
    return bad("NMI-5", "the capture kernel inherits unknown_nmi_panic: a second NMI would destroy the dump")


def inherited_by_sysctl(facts: Facts) -> Verdict | None:
    """NMI-6: Debian's capture environment boots the real root, where systemd-sysctl sets it again."""
    if family(facts) is not Family.DEBIAN or not _x86(facts):
        return None
    if value(facts, "nmi_settings") is None and not is_absent(facts, "nmi_settings"):
        return unknown("NMI-6", facts, "nmi_settings")
    if not any(sysctl_settings(facts).get(name) == "1" for name in UNKNOWN_NMI):
        return good("NMI-6", "no file in sysctl.d makes the capture kernel panic on an NMI")
    if value(facts, "kdump_tools") is None:
        return unknown("NMI-6", facts, "kdump_tools")
    if any(
        "systemd.mask=systemd-sysctl" in line and not line.startswith("#")
        for line in lines(facts, "kdump_tools")
    ):
        return good("NMI-6", "the capture kernel is started without systemd-sysctl")
    return bad("NMI-6", "the capture kernel reads sysctl.d too: a second NMI would destroy the dump")


def hpwdt_timer(facts: Facts) -> Verdict | None:
    """NMI-8: drivers/watchdog/hpwdt.c; 0 leaves the timer running while the dump is written."""
    if not _has_driver(facts, "hpwdt"):
        return None
    timeout = number(facts, "hpwdt_kdumptimeout")
    if timeout is None:
        return unknown("NMI-8", facts, "hpwdt_kdumptimeout")
    if timeout == 0:
        return bad("NMI-8", "hpwdt.kdumptimeout is 0: the iLO's watchdog goes on while the dump is written")
    return good("NMI-8", f"hpwdt.kdumptimeout is {timeout:.0f}")


def swallowed(facts: Facts) -> Verdict | None:
    """NMI-9: drivers/char/ipmi/ipmi_watchdog.c, `ipmi_nmi`, claims the NMI and does not panic."""
    if not _x86(facts):
        return None
    if value(facts, "drivers") is None and not is_absent(facts, "drivers"):
        return unknown("NMI-9", facts, "drivers")
    if not _has_driver(facts, "ipmi_watchdog"):
        return good("NMI-9", "no driver is loaded that would swallow the NMI")
    preaction, preop = value(facts, "ipmi_watchdog_preaction"), value(facts, "ipmi_watchdog_preop")
    if preaction is None or preop is None:
        return unknown("NMI-9", facts, "ipmi_watchdog_preaction", "ipmi_watchdog_preop")
    if preaction == "pre_nmi" and preop != "preop_panic":
        return bad("NMI-9", f"ipmi_watchdog has preaction=pre_nmi and preop={preop}: it swallows the NMI")
    return good("NMI-9", f"ipmi_watchdog lets the NMI pass (preaction={preaction}, preop={preop})")


def perf_claims(facts: Facts) -> Verdict | None:
    """NMI-10: arch/x86/events/amd/core.c claims what comes within 100 ms after an NMI of its own."""
    vendor, watchdog = value(facts, "cpu_vendor"), value(facts, "nmi_watchdog")
    if not _x86(facts) or (vendor is None and is_absent(facts, "cpu_vendor")):
        return None
    if vendor is None or (watchdog is None and not is_absent(facts, "nmi_watchdog")):
        return unknown("NMI-10", facts, "cpu_vendor", "nmi_watchdog")
    if "AMD" in vendor and watchdog == "1":
        return good(
            "NMI-10", "AMD with nmi_watchdog: an NMI in the 100 ms after one of perf's is taken for it"
        )
    return good("NMI-10", "no NMI of perf would be mistaken for ours")


def hyper_v(facts: Facts) -> Verdict | None:
    """NMI-11: arch/x86/kernel/cpu/mshyperv.c, hv_nmi_unknown."""
    vendor, product = value(facts, "vendor"), value(facts, "product")
    if vendor is None and not is_absent(facts, "vendor"):
        return unknown("NMI-11", facts, "vendor")
    if vendor != "Microsoft Corporation" or product != "Virtual Machine":
        return None
    if value(facts, "unknown_nmi_panic") is None:
        return unknown("NMI-11", facts, "unknown_nmi_panic")
    if value(facts, "unknown_nmi_panic") == "1":
        return good("NMI-11", "Hyper-V's NMI reaches all CPUs, and the kernel takes it for one")
    return good("NMI-11", "with kernel.unknown_nmi_panic=0 each CPU takes Hyper-V's NMI for one of its own")


def ultraviolet(facts: Facts) -> Verdict | None:
    """NMI-12: arch/x86/platform/uv/uv_nmi.c has its own handler, and its own idea of what to do."""
    action = value(facts, "uv_nmi_action")
    if action is None:
        return None if is_absent(facts, "uv_nmi_action") else unknown("NMI-12", facts, "uv_nmi_action")
    if action == "kdump":
        return good("NMI-12", "the UV's NMI handler starts kdump")
    return bad("NMI-12", f"the UV's NMI handler does {action!r}, and no dump comes of that")


def stray(facts: Facts) -> Verdict | None:
    """NMI-14."""
    if not _x86(facts):
        return None
    if all(value(facts, name) is None for name in UNKNOWN_NMI):
        return unknown("NMI-14", facts, *UNKNOWN_NMI)
    if any(value(facts, name) == "1" for name in UNKNOWN_NMI):
        return good("NMI-14", "an NMI that nobody sent, such as one of broken hardware, crashes the host too")
    return good("NMI-14", "an NMI of unknown reason is only logged")


def automatic(facts: Facts) -> Verdict | None:
    """AUTO-1."""
    names = ("hardlockup_panic", "softlockup_panic", "hung_task_panic")
    known = [f"{name} {value(facts, name)}" for name in names if value(facts, name) is not None]
    if not known:
        return unknown("AUTO-1", facts, *names)
    return good("AUTO-1", ", ".join(known))


def after_panic(facts: Facts) -> Verdict | None:
    """AUTO-2."""
    seconds = number(facts, "panic")
    if seconds is None:
        return unknown("AUTO-2", facts, "panic")
    what = (
        f"reboots after {seconds:.0f} s"
        if seconds > 0
        else "stays as it is"
        if seconds == 0
        else "reboots at once"
    )
    return good("AUTO-2", f"kernel.panic is {seconds:.0f}: a panic without a dump {what}")


def on_oops(facts: Facts) -> Verdict | None:
    """AUTO-3."""
    if value(facts, "panic_on_oops") is None:
        return unknown("AUTO-3", facts, "panic_on_oops")
    return good("AUTO-3", f"kernel.panic_on_oops is {value(facts, 'panic_on_oops')}")


def sysrq(facts: Facts) -> Verdict | None:
    """SYSRQ-1."""
    if value(facts, "sysrq") is None and is_absent(facts, "sysrq"):
        return good("SYSRQ-1", "the kernel has no SysRq")
    mask = number(facts, "sysrq")
    if mask is None:
        return unknown("SYSRQ-1", facts, "sysrq")
    allowed = mask == _SYSRQ_ALL or bool(int(mask) & _SYSRQ_DUMPS)
    return good(
        "SYSRQ-1",
        f"kernel.sysrq is {mask:.0f}: SysRq over serial {'can' if allowed else 'cannot'} crash the host",
    )


def notifiers(facts: Facts) -> Verdict | None:
    """PRINT-1: kernel/panic.c starts the capture kernel before its notifiers, unless it is told not to."""
    post = value(facts, "crash_kexec_post_notifiers")
    if post is None:
        return unknown("PRINT-1", facts, "crash_kexec_post_notifiers")
    if post in ("Y", "1"):
        return good(
            "PRINT-1", "panic notifiers run before the capture kernel: pstore and the SEL get a record"
        )
    return good(
        "PRINT-1", "the capture kernel comes first: expect no panic record in pstore, the SEL or the console"
    )


def sysctl_settings(facts: Facts) -> dict[str, str]:
    """The kernel.* settings that a boot would leave, by sysctl.d(5): by file name, the last one wins."""
    files: dict[str, tuple[int, list[str]]] = {}
    for row in lines(facts, "nmi_settings"):
        path, _, line = row.partition(":")
        base = "99-sysctl.conf" if path == "/etc/sysctl.conf" else posixpath.basename(path)
        rank = next((i for i, folder in enumerate(_SYSCTL_FOLDERS) if path.startswith(f"{folder}/")), 0)
        if base not in files or files[base][0] < rank:
            files[base] = (rank, [])
        if files[base][0] == rank:
            files[base][1].append(line)
    settings: dict[str, str] = {}
    for base in sorted(files):
        for line in files[base][1]:
            key, _, text = line.strip().lstrip("-").partition("=")
            settings[key.strip().replace("/", ".").removeprefix("kernel.")] = text.strip()
    return settings


def _physical_setting(check: str, name: str, facts: Facts) -> Verdict | None:
    """A setting for NMIs that only real hardware raises; HPE's driver takes them before it matters."""
    product = (value(facts, "product") or "").lower()
    if not _x86(facts) or any(word in product for word in _VIRTUAL) or _has_driver(facts, "hpwdt"):
        return None
    if value(facts, name) is None:
        return unknown(check, facts, name)
    if value(facts, name) == "1":
        return good(check, f"kernel.{name} is 1")
    return bad(check, f"kernel.{name} is 0: an NMI that arrives this way is ignored")


def _x86(facts: Facts) -> bool:
    return (value(facts, "machine") or "x86_64") in ("x86_64", "i686", "i586")


def _has_driver(facts: Facts, name: str) -> bool:
    return f"/sys/module/{name}" in lines(facts, "drivers")


def _command_line(facts: Facts) -> list[str]:
    text = value(facts, "cmdline") or ""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
