"""Facts of a healthy host, and the one thing that is different about it."""

from __future__ import annotations

from datetime import UTC, datetime

from collector.facts.controller import NAMES as CONTROLLER_NAMES
from collector.facts.linux_script import NAMES
from collector.model.fact import Fact, Facts

NOW = datetime(2026, 11, 21, 3, 12, tzinfo=UTC)

ABSENT, DENIED = "!absent", "!denied"
"""Values that stand for a fact that is not there, and for one that only root may read."""

HEALTHY = {
    "nmi_controller": "ipmi://192.0.2.110:623",
    "power": "on",
    "nmi_offered": "yes",
    "privilege": "operator",
    "nmi_reactions": "none",
    "log_free_bytes": "15984",
    "log_overflow": "no",
    "clock_ahead_s": "2",
    "power_restore": "as it was",
    "watchdog_running": "no",
    "watchdog_action": "none",
    "channel": "ssh://192.0.2.10:22",
    "user": "0",
    "machine": "x86_64",
    "release": "5.14.0",
    "os_release": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"',
    "vendor": "Dell Inc.",
    "product": "PowerEdge R750",
    "cpu_vendor": "vendor_id\t: GenuineIntel",
    "nmi_watchdog": "1",
    "modules": "/lib/modules/5.14.0",
    "identity_newer": "!none",
    "agents": ABSENT,
    "interfaces": "/sys/class/net/eno1/device",
    "ssh_files": DENIED,
    "symbols": "/sys/kernel/btf/vmlinux\n/boot/System.map-5.14.0",
    "crash_mode": "755",
    "makedumpfile_version": "makedumpfile: version 1.7.2 (released on 20 Oct 2022)",
    "cmdline": "root=/dev/mapper/root ro crashkernel=256M",
    "unknown_nmi_panic": "1",
    "panic_on_unrecovered_nmi": "1",
    "panic_on_io_nmi": "1",
    "panic": "0",
    "panic_on_oops": "1",
    "hardlockup_panic": "1",
    "sysrq": "16",
    "crash_kexec_post_notifiers": "N",
    "nmi_settings": "/etc/sysctl.d/90-nmi.conf:kernel.unknown_nmi_panic = 1",
    "drivers": ABSENT,
    "kexec_crash_loaded": "1",
    "kexec_crash_size": "268435456",
    "fadump_enabled": ABSENT,
    "secure_boot": ABSENT,
    "lockdown": "[none] integrity confidentiality",
    "kexec_load_disabled": "0",
    "kdump_enabled": "/etc/systemd/system/multi-user.target.wants/kdump.service",
    "kdump_image": "/boot/initramfs-5.14.0kdump.img",
    "kdump_newer": "!none",
    "kdump_test": "success kdump_test_id=1793491200-1",
    "dumps": ABSENT,
    "kdump_conf": "path /var/crash\ncore_collector makedumpfile -l --message-level 7 -d 31",
    "kdump_sysconfig": 'KDUMP_COMMANDLINE_REMOVE="hugepages"',
    "makedumpfile": "/usr/sbin/makedumpfile",
    "meminfo": "MemTotal: 16000000 kB\nMemFree: 4000000 kB\nCached: 6000000 kB\nAnonPages: 3000000 kB\n"
    "Slab: 500000 kB",
    "mounts": "/dev/mapper/root / xfs rw,relatime 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/sdb1 /dumps ext4 rw 0 0",
    "space": "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
    "/dev/mapper/root 900000000 1 800000000 1% /\n/dev/sdb1 900000000 1 700000 1% /dumps",
    "folders": "/var/crash",
    "encrypted": ABSENT,
    "watchdogs": ABSENT,
    "cluster": ABSENT,
    "fence_kdump": ABSENT,
}

DEBIAN = {
    "os_release": "ID=debian",
    "kdump_tools": 'USE_KDUMP=1\nKDUMP_COREDIR="/var/crash"\nMAKEDUMP_ARGS="-c -d 31"',
    "kdump_enabled": "/etc/systemd/system/multi-user.target.wants/kdump-tools.service",
}

SUSE = {
    "os_release": 'ID="sles"\nID_LIKE="suse"',
    "kdump_sysconfig": 'KDUMP_SAVEDIR="/var/crash"\nKDUMP_DUMPLEVEL="31"\nKDUMP_KEEP_OLD_DUMPS="5"',
}


def facts(*changes: dict[str, str]) -> Facts:
    """A healthy RHEL host with these changes; a value `!reason` is a missing fact."""
    values = dict.fromkeys((*NAMES, *CONTROLLER_NAMES), ABSENT) | HEALTHY
    for change in changes:
        values |= change
    return {
        name: Fact(name, None, "ssh", NOW, text[1:]) if text.startswith("!") else Fact(name, text, "ssh", NOW)
        for name, text in values.items()
    }
