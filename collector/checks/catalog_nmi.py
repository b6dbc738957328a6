"""The checks on the NMI's way in, and on what would end the dump before it is written."""

from __future__ import annotations

from collector.checks.check import RESTART, Check, set_sysctl
from collector.checks.family import Family
from collector.model.audit import Link, Severity

_WITHOUT_SYSCTL = (
    "echo 'KDUMP_CMDLINE_APPEND=\"reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1"
    " irqpoll usbcore.nousb systemd.mask=systemd-sysctl.service panic=10\"' >> /etc/default/kdump-tools"
)

TRIGGER = (
    Check(
        "CT-1",
        "A controller can send the NMI",
        Link.TRIGGER,
        Severity.BLOCKER,
        "A hung host cannot crash itself; something outside it has to send the NMI.",
        "Add the host's BMC or hypervisor to its `controllers` in the settings, with a login that works.",
        "IPMI 2.0 section 28.3, Chassis Control",
    ),
    Check(
        "CT-2",
        "The host is powered on",
        Link.TRIGGER,
        Severity.BLOCKER,
        "An NMI does nothing to a host without power.",
        "Power it on.",
        "IPMI 2.0 section 28.2, Get Chassis Status",
    ),
)

CRASH = (
    Check(
        "NMI-1",
        "An NMI of unknown reason becomes a panic",
        Link.CRASH,
        Severity.BLOCKER,
        "The kernel's default is to log the NMI and go on: the hang stays, and there is no dump.",
        "Set kernel.unknown_nmi_panic to 1 in sysctl.d, not on the kernel command line.",
        "Linux arch/x86/kernel/nmi.c, unknown_nmi_error",
        set_sysctl("unknown_nmi_panic"),
    ),
    Check(
        "NMI-2",
        "An NMI that the BMC raises as a system error becomes a panic",
        Link.CRASH,
        Severity.HIGH,
        "Some boards raise the NMI as SERR; only kernel.panic_on_unrecovered_nmi looks at that.",
        "Set kernel.panic_on_unrecovered_nmi to 1 in sysctl.d.",
        "Linux arch/x86/kernel/nmi.c, pci_serr_error",
        set_sysctl("panic_on_unrecovered_nmi"),
    ),
    Check(
        "NMI-3",
        "An NMI that the BMC raises as an I/O check becomes a panic",
        Link.CRASH,
        Severity.HIGH,
        "Some servers send this kind when the dump button is pressed.",
        "Set kernel.panic_on_io_nmi to 1 in sysctl.d.",
        "Linux arch/x86/kernel/nmi.c, io_check_error; Documentation/admin-guide/sysctl/kernel.rst",
        set_sysctl("panic_on_io_nmi"),
    ),
    Check(
        "NMI-4",
        "The NMI setting comes back with the next boot",
        Link.CRASH,
        Severity.MEDIUM,
        "What was set by hand is gone after the next reboot, and nobody notices.",
        "Write the setting into a file in /etc/sysctl.d.",
        "sysctl.d(5)",
        {None: ("echo 'kernel.unknown_nmi_panic = 1' >> /etc/sysctl.d/90-nmi.conf",)},
    ),
    Check(
        "NMI-7",
        "The architecture has a path from an NMI to a panic",
        Link.CRASH,
        Severity.BLOCKER,
        "arm64 and s390 have no general NMI that panics.",
        "Use SysRq over the serial console, or a memory snapshot of the hypervisor.",
        "Linux arch/; Amazon EC2 user guide, diagnostic interrupt",
    ),
    Check(
        "NMI-9",
        "No driver swallows the NMI",
        Link.CRASH,
        Severity.BLOCKER,
        "ipmi_watchdog with preaction=pre_nmi claims every NMI, and panics only with preop=preop_panic.",
        "Load ipmi_watchdog with preop=preop_panic, or without preaction.",
        "Linux drivers/char/ipmi/ipmi_watchdog.c, ipmi_nmi",
        {
            None: (
                "echo 'options ipmi_watchdog preop=preop_panic' > /etc/modprobe.d/ipmi_watchdog.conf",
                "reboot",
            )
        },
    ),
    Check(
        "AUTO-1",
        "Lockups that the kernel finds by itself",
        Link.CRASH,
        Severity.INFO,
        "With these the host dumps before anybody is called.",
        "Consider kernel.hardlockup_panic=1.",
        "Linux Documentation/admin-guide/lockup-watchdogs.rst",
    ),
    Check(
        "AUTO-2",
        "What follows a panic without a dump",
        Link.CRASH,
        Severity.INFO,
        "A reboot wipes the screen that would have told what happened.",
        "Leave kernel.panic at 0 on hosts without kdump.",
        "Linux Documentation/admin-guide/sysctl/kernel.rst, panic",
    ),
    Check(
        "AUTO-3",
        "An oops becomes a panic",
        Link.CRASH,
        Severity.INFO,
        "Without it a host may go on for hours with a broken kernel.",
        "Consider kernel.panic_on_oops=1.",
        "Linux Documentation/admin-guide/sysctl/kernel.rst, panic_on_oops",
    ),
    Check(
        "SYSRQ-1",
        "SysRq over the serial console",
        Link.CRASH,
        Severity.INFO,
        "It is the other way to crash a hung host, and the way to ask it for its stacks.",
        "Set kernel.sysrq to 1.",
        "Linux Documentation/admin-guide/sysrq.rst",
    ),
    Check(
        "PRINT-1",
        "What a panic writes besides the dump",
        Link.CRASH,
        Severity.INFO,
        "It tells which signs to expect: silence on the console is no failure when kdump is armed.",
        "Nothing has to be done.",
        "Linux kernel/panic.c; Documentation/admin-guide/kernel-parameters.txt, crash_kexec_post_notifiers",
    ),
)

SURVIVES = (
    Check(
        "WD-1",
        "The BMC's watchdog does not reset the host while it dumps",
        Link.SURVIVES,
        Severity.BLOCKER,
        "kdump starts before anything that could stop the timer, and the capture kernel does not feed it.",
        "Stop the timer (`ipmitool mc watchdog off`), or set it longer than the dump takes.",
        "IPMI 2.0 section 27; Linux kernel/panic.c",
    ),
    Check(
        "WD-3",
        "No watchdog in the host resets it while it dumps",
        Link.SURVIVES,
        Severity.HIGH,
        "The timer in the hardware goes on; only a driver in the capture image would feed it.",
        "Get the watchdog's driver into the capture image, or set a timeout longer than the dump.",
        "kdump-utils kexec-kdump-howto, watchdog module handling",
    ),
    Check(
        "NMI-8",
        "HPE's watchdog driver stops its timer for the dump",
        Link.SURVIVES,
        Severity.HIGH,
        "With kdumptimeout=0 the iLO resets the host in the middle of the dump.",
        "Load hpwdt with kdumptimeout=-1, its default.",
        "Linux drivers/watchdog/hpwdt.c",
        {None: ("echo 'options hpwdt kdumptimeout=-1' > /etc/modprobe.d/hpwdt.conf", "reboot")},
    ),
    Check(
        "NMI-5",
        "A second NMI is harmless (kernel command line)",
        Link.SURVIVES,
        Severity.HIGH,
        "The capture kernel inherits unknown_nmi_panic: a second NMI ends it, and the dump.",
        "Take unknown_nmi_panic off the command line and set it in sysctl.d.",
        "kdump-lib.sh of kdump-utils, prepare_cmdline; kdump-config of Debian",
        {
            Family.RHEL: (
                "grubby --update-kernel=ALL --remove-args=unknown_nmi_panic",
                *set_sysctl("unknown_nmi_panic")[None],
            )
        },
    ),
    Check(
        "NMI-6",
        "A second NMI is harmless (sysctl.d of Debian)",
        Link.SURVIVES,
        Severity.HIGH,
        "Debian's capture environment boots the real root, where systemd-sysctl sets it again.",
        "Mask systemd-sysctl for the capture kernel with KDUMP_CMDLINE_APPEND in /etc/default/kdump-tools.",
        "kdump-tools 1.8 to 1.10, measured with a second NMI on Debian 12",
        {
            Family.DEBIAN: (
                _WITHOUT_SYSCTL,
                *RESTART[Family.DEBIAN],
            ),
        },
    ),
    Check(
        "FE-1",
        "The cluster does not fence the host while it dumps",
        Link.SURVIVES,
        Severity.HIGH,
        "The other nodes take a host that dumps for dead, and power it off.",
        "Configure fence_kdump as the first fencing level.",
        "ClusterLabs fence-agents, fence_kdump(8); kdump-utils kdump-in-cluster-environment.txt",
    ),
    Check(
        "FE-3",
        "Proxmox HA does not fence the host while it dumps",
        Link.SURVIVES,
        Severity.HIGH,
        "Its watchdog resets a node about a minute after it stops answering.",
        "Put the node into maintenance first: `ha-manager crm-command node-maintenance enable NODE`.",
        "Proxmox VE administration guide, High Availability, Fencing",
    ),
    Check(
        "TG-10",
        "The host comes back by itself after the dump",
        Link.SURVIVES,
        Severity.MEDIUM,
        "A host that waits in a shell or stays off keeps its dump until somebody goes there.",
        "Set failure_action and final_action to reboot.",
        "kdump.conf(5)",
    ),
)
