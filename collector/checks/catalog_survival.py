"""The checks on what would end the dump before it is written, and on what follows it."""

from __future__ import annotations

from collector.checks.check import RESTART, Check, set_sysctl
from collector.checks.family import Family
from collector.model.audit import Link, Severity

_WITHOUT_SYSCTL = (
    "echo 'KDUMP_CMDLINE_APPEND=\"reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1"
    " irqpoll usbcore.nousb systemd.mask=systemd-sysctl.service panic=10\"' >> /etc/default/kdump-tools"
)

SURVIVES = (
    Check(
        "NMI-13",
        "The controller does not answer an NMI by a reset",
        Link.SURVIVES,
        Severity.MEDIUM,
        "A BMC or BIOS that is set to reboot on an NMI ends the dump that the NMI began.",
        "Disable the event filter (`ipmitool pef filter list`) and the BIOS's option to reboot on an NMI.",
        "IPMI 2.0 section 17, Platform Event Filtering; Broadcom knowledge article 344096",
    ),
    Check(
        "PW-1",
        "What follows when the power comes back",
        Link.SURVIVES,
        Severity.INFO,
        "A host that stays off after a power cut is not hung.",
        "Nothing has to be done.",
        "IPMI 2.0 section 28.2, Get Chassis Status",
    ),
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
        "WD-2",
        "The timer of ipmi_watchdog outlasts the dump",
        Link.SURVIVES,
        Severity.HIGH,
        "The driver gives itself 255 s in a panic, but kdump starts before it is asked.",
        "Stop the timer, or load ipmi_watchdog with a timeout that is longer than the dump takes.",
        "Linux kernel/panic.c; drivers/char/ipmi/ipmi_watchdog.c, wdog_panic_handler",
        {None: ("ipmitool mc watchdog off",)},
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
        "WD-4",
        "HPE's Automatic Server Recovery lets the dump end",
        Link.SURVIVES,
        Severity.MEDIUM,
        "It restarts a server whose system has stopped, after 5 to 30 minutes.",
        "Disable ASR in the system setup, or set it longer than the dump takes.",
        "HPE UEFI System Utilities user guide, Automatic Server Recovery",
    ),
    Check(
        "WD-5",
        "Dell's automatic recovery lets the dump end",
        Link.SURVIVES,
        Severity.MEDIUM,
        "The agent on the host feeds a timer in the iDRAC; a host that dumps does not.",
        "Set the recovery action to none: `omconfig system recovery action=none`.",
        "Dell OpenManage Server Administrator, omreport system recovery",
        {None: ("omconfig system recovery action=none",)},
    ),
    Check(
        "WD-6",
        "The maker's OS watchdog lets the dump end",
        Link.SURVIVES,
        Severity.MEDIUM,
        "Fujitsu's ASR&R, Lenovo's and others' OS watchdogs reset a host that does not feed them.",
        "Disable the OS watchdog in the BMC, or set it longer than the dump takes.",
        "DMTF Redfish ComputerSystem, HostWatchdogTimer; the maker's BMC guide",
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
        "FE-2",
        "Fencing can be paused for the NMI",
        Link.SURVIVES,
        Severity.HIGH,
        "Maintenance of one node does not stop the others from fencing it, and sbd heeds no maintenance.",
        "Before the NMI put the whole cluster into maintenance mode, and take it back after; with sbd, use"
        " fence_kdump. A node that revives without being fenced may corrupt shared data: a person decides.",
        "ClusterLabs pacemaker, lib/pacemaker/pcmk_scheduler.c; sbd(8)",
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
        "FE-4",
        "Nothing outside the host resets it while it dumps",
        Link.SURVIVES,
        Severity.MEDIUM,
        "vSphere HA, Hyper-V and Oracle Clusterware take a machine that dumps for dead.",
        "Disable VM monitoring for this machine, or give it an interval longer than the dump takes.",
        "VMware vSphere Availability, VM and Application Monitoring; Oracle Clusterware, CSS misscount",
    ),
    Check(
        "FE-5",
        "No automation replaces the host while it dumps",
        Link.SURVIVES,
        Severity.MEDIUM,
        "A control plane or a monitoring that repairs by itself may delete the machine with its dump.",
        "Pause the health check for this machine before the NMI, and ask who else reboots by itself.",
        "Kubernetes Cluster API, MachineHealthCheck; OpenStack Nova, evacuate",
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
