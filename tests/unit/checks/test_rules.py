"""Each rule says OK, not OK, and UNKNOWN where its fact is missing."""

from __future__ import annotations

import pytest

from collector.checks.audit import RULES
from collector.checks.catalog import CHECKS
from collector.model.audit import Severity
from collector.model.host import Platform
from collector.model.verdict import Level
from tests.unit.checks.facts import ABSENT, DEBIAN, DENIED, NOW, SUSE, facts

OK, WARNING, CRITICAL, UNKNOWN = Level.OK, Level.WARNING, Level.CRITICAL, Level.UNKNOWN
LINUX = RULES[Platform.LINUX]
HPE = {"drivers": "/sys/module/hpwdt", "hpwdt_kdumptimeout": "-1"}
IPMI = {
    "drivers": "/sys/module/ipmi_watchdog",
    "ipmi_watchdog_preaction": "pre_none",
    "ipmi_watchdog_preop": "preop_none",
}
FADUMP = {"machine": "ppc64le", "fadump_enabled": "1", "fadump_registered": "1"}
IPMI_TIMER = {"watchdog_running": "yes", "watchdog_action": "hard reset", "watchdog_initial_s": "60.0"}
DISK = "/dev/sda3 / xfs rw 0 0"
WATCHDOG = "/sys/class/watchdog/watchdog0"
ILO = f"{WATCHDOG}/identity:HPE iLO2+ HW Watchdog Timer"
RUNNING = f"{WATCHDOG}/identity:iTCO_wdt\n{WATCHDOG}/state:active"
UNIT = "/sys/fs/cgroup/system.slice"
OFF = {"unknown_nmi_panic": "0", "panic_on_unrecovered_nmi": "0"}
REMOTE = {"kdump_conf": "nfs nas.example.com:/dumps\npath /var/crash"}

UNTOLD = "!the controller does not tell"
DRILLED = {
    "proof_whole": "yes",
    "proof_drill": "yes",
    "proof_path": "/var/crash/127.0.0.1-2026-11-20-03:12:00/vmcore",
    "proof_bytes": "1288490189",
    "proof_seconds": "212",
    "proof_release": "5.14.0",
    "proof_cmdline": "root=/dev/mapper/root ro crashkernel=256M",
    "proof_crash_size": "268435456",
}

CASES: list[tuple[str, dict[str, str], Level | None]] = [
    ("CT-1", {}, OK),
    ("CT-1", {"nmi_controller": "!nobody to ask"}, CRITICAL),
    ("CT-1", {"nmi_controller": "!ipmi://192.0.2.110: nothing answered"}, UNKNOWN),
    ("CT-2", {}, OK),
    ("CT-2", {"power": "off"}, CRITICAL),
    ("CT-2", {"power": DENIED}, UNKNOWN),
    ("CT-2", {"power": "unknown"}, UNKNOWN),
    ("CT-3", {}, OK),
    ("CT-3", {"nmi_offered": "no"}, OK),
    ("CT-3", {"nmi_offered": DENIED}, UNKNOWN),
    ("CT-3", {"nmi_offered": UNTOLD}, None),
    ("CT-4", {}, OK),
    ("CT-4", {"privilege": "user"}, WARNING),
    ("CT-4", {"privilege": "level 9"}, WARNING),
    ("CT-4", {"privilege": DENIED}, UNKNOWN),
    ("CT-4", {"privilege": UNTOLD}, None),
    ("CT-5", {}, OK),
    ("CT-5", {"log_free_bytes": "144"}, WARNING),
    ("CT-5", {"log_free_bytes": "160", "log_overflow": "yes"}, OK),
    ("CT-5", {"log_free_bytes": "unlimited"}, OK),
    ("CT-5", {"log_free_bytes": "much"}, UNKNOWN),
    ("CT-5", {"log_free_bytes": DENIED}, UNKNOWN),
    ("CT-5", {"log_free_bytes": UNTOLD}, None),
    ("CT-6", {}, OK),
    ("CT-6", {"clock_ahead_s": "-61"}, WARNING),
    ("CT-6", {"clock_ahead_s": "3590"}, OK),
    ("CT-6", {"clock_ahead_s": "-20730"}, OK),
    ("CT-6", {"clock_ahead_s": "86400"}, WARNING),
    ("CT-6", {"clock_ahead_s": "not set"}, WARNING),
    ("CT-6", {"clock_ahead_s": "nan"}, UNKNOWN),
    ("CT-6", {"clock_ahead_s": DENIED}, UNKNOWN),
    ("CT-6", {"clock_ahead_s": UNTOLD}, None),
    ("NMI-13", {}, OK),
    ("NMI-13", {"nmi_reactions": "reset, another NMI"}, WARNING),
    ("NMI-13", {"nmi_reactions": DENIED}, UNKNOWN),
    ("NMI-13", {"nmi_reactions": UNTOLD}, None),
    ("PW-1", {}, OK),
    ("PW-1", {"power_restore": DENIED}, UNKNOWN),
    ("PW-1", {"power_restore": UNTOLD}, None),
    ("NMI-1", {}, OK),
    ("NMI-1", OFF, CRITICAL),
    ("NMI-1", {**OFF, **HPE}, OK),
    ("NMI-1", {"unknown_nmi_panic": DENIED, "panic_on_unrecovered_nmi": DENIED}, UNKNOWN),
    ("NMI-1", {"machine": "aarch64"}, None),
    ("NMI-2", {}, OK),
    ("NMI-2", {"panic_on_unrecovered_nmi": "0"}, WARNING),
    ("NMI-2", {"panic_on_unrecovered_nmi": DENIED}, UNKNOWN),
    ("NMI-2", {"panic_on_unrecovered_nmi": "0", "product": "Standard PC (Q35 + ICH9, 2009)"}, None),
    ("NMI-3", {}, OK),
    ("NMI-3", {"panic_on_io_nmi": "0"}, WARNING),
    ("NMI-3", {"panic_on_io_nmi": DENIED}, UNKNOWN),
    ("NMI-4", {}, OK),
    ("NMI-4", {"nmi_settings": ABSENT}, WARNING),
    ("NMI-4", {"nmi_settings": ABSENT, "cmdline": "ro unknown_nmi_panic"}, OK),
    ("NMI-4", {"nmi_settings": "/etc/sysctl.d/90-nmi.conf:#kernel.unknown_nmi_panic = 1"}, WARNING),
    (
        "NMI-4",
        {
            "nmi_settings": "/etc/sysctl.d/10-a.conf:kernel.unknown_nmi_panic=1\n"
            "/usr/lib/sysctl.d/50-b.conf:-kernel/unknown_nmi_panic = 0"
        },
        WARNING,
    ),
    (
        "NMI-4",
        {
            "nmi_settings": "/usr/lib/sysctl.d/10-a.conf:kernel.unknown_nmi_panic=0\n"
            "/etc/sysctl.d/10-a.conf:kernel.unknown_nmi_panic=1"
        },
        OK,
    ),
    ("NMI-4", {"nmi_settings": DENIED}, UNKNOWN),
    ("NMI-4", OFF, None),
    ("NMI-5", {}, OK),
    ("NMI-5", {"cmdline": "ro unknown_nmi_panic crashkernel=256M"}, WARNING),
    ("NMI-5", {"cmdline": "ro unknown_nmi_panic", **SUSE}, OK),
    (
        "NMI-5",
        {
            "cmdline": "ro unknown_nmi_panic",
            "kdump_sysconfig": 'KDUMP_COMMANDLINE_REMOVE="quiet unknown_nmi_panic"',
        },
        OK,
    ),
    ("NMI-5", {"cmdline": DENIED}, UNKNOWN),
    ("NMI-6", {}, None),
    ("NMI-6", DEBIAN, WARNING),
    ("NMI-6", {**DEBIAN, "nmi_settings": ABSENT}, OK),
    (
        "NMI-6",
        {**DEBIAN, "kdump_tools": 'KDUMP_CMDLINE_APPEND="nr_cpus=1 systemd.mask=systemd-sysctl.service"'},
        OK,
    ),
    (
        "NMI-6",
        {**DEBIAN, "kdump_tools": '#KDUMP_CMDLINE_APPEND="systemd.mask=systemd-sysctl.service"'},
        WARNING,
    ),
    ("NMI-6", {**DEBIAN, "kdump_tools": DENIED}, UNKNOWN),
    ("NMI-7", {}, OK),
    ("NMI-7", {"machine": "aarch64"}, CRITICAL),
    ("NMI-7", {"machine": "ppc64le"}, OK),
    ("NMI-7", {"machine": DENIED}, UNKNOWN),
    ("NMI-8", {}, None),
    ("NMI-8", HPE, OK),
    ("NMI-8", {**HPE, "hpwdt_kdumptimeout": "0"}, WARNING),
    ("NMI-8", {**HPE, "hpwdt_kdumptimeout": DENIED}, UNKNOWN),
    ("NMI-9", {}, OK),
    ("NMI-9", IPMI, OK),
    ("NMI-9", {**IPMI, "ipmi_watchdog_preaction": "pre_nmi"}, CRITICAL),
    (
        "NMI-9",
        {**IPMI, "ipmi_watchdog_preaction": "pre_nmi", "ipmi_watchdog_preop": "preop_panic"},
        OK,
    ),
    ("NMI-9", {**IPMI, "ipmi_watchdog_preop": DENIED}, UNKNOWN),
    ("NMI-9", {"drivers": DENIED}, UNKNOWN),
    ("AUTO-1", {}, OK),
    ("AUTO-1", {"hardlockup_panic": DENIED}, UNKNOWN),
    ("AUTO-2", {}, OK),
    ("AUTO-2", {"panic": "-1"}, OK),
    ("AUTO-2", {"panic": "nan"}, UNKNOWN),
    ("AUTO-3", {}, OK),
    ("AUTO-3", {"panic_on_oops": DENIED}, UNKNOWN),
    ("SYSRQ-1", {}, OK),
    ("SYSRQ-1", {"sysrq": ABSENT}, OK),
    ("SYSRQ-1", {"sysrq": DENIED}, UNKNOWN),
    ("PRINT-1", {}, OK),
    ("PRINT-1", {"crash_kexec_post_notifiers": "Y"}, OK),
    ("PRINT-1", {"crash_kexec_post_notifiers": DENIED}, UNKNOWN),
    ("KD-1", {}, OK),
    ("KD-1", {"kexec_crash_loaded": "0"}, CRITICAL),
    ("KD-1", {"kexec_crash_loaded": ABSENT}, CRITICAL),
    ("KD-1", {"kexec_crash_loaded": DENIED}, UNKNOWN),
    ("KD-1", FADUMP, None),
    ("KD-2", {}, OK),
    ("KD-2", {"kexec_crash_size": str(128 * 1024**2)}, WARNING),
    ("KD-2", {"kexec_crash_size": str(64 * 1024**2)}, CRITICAL),
    ("KD-2", {"kexec_crash_size": str(192 * 1024**2), **DEBIAN}, OK),
    ("KD-2", {"meminfo": "MemTotal: 100000000 kB"}, WARNING),
    ("KD-2", {"machine": "aarch64"}, WARNING),
    ("KD-2", {"machine": "ppc64le"}, WARNING),
    ("KD-2", {"kexec_crash_size": "0"}, None),
    ("KD-2", {"kexec_crash_size": "inf"}, UNKNOWN),
    ("KD-2", {"meminfo": DENIED}, UNKNOWN),
    ("KD-3", {}, OK),
    ("KD-3", {"cmdline": "ro quiet", "kexec_crash_size": "0"}, CRITICAL),
    ("KD-3", {"cmdline": DENIED}, UNKNOWN),
    ("KD-4", {}, OK),
    ("KD-4", {"kexec_crash_size": "0"}, CRITICAL),
    ("KD-4", {"kexec_crash_size": DENIED}, UNKNOWN),
    ("KD-4", {"cmdline": "ro quiet"}, None),
    ("KD-5", {}, OK),
    ("KD-5", {"kdump_enabled": ABSENT}, WARNING),
    ("KD-5", {"kdump_enabled": DENIED}, UNKNOWN),
    ("KD-5", {"kdump_enabled": ABSENT, "os_release": "ID=plan9"}, UNKNOWN),
    ("KD-6", {}, None),
    ("KD-6", FADUMP, OK),
    ("KD-6", {**FADUMP, "fadump_registered": "0"}, CRITICAL),
    ("KD-6", {**FADUMP, "fadump_registered": DENIED}, UNKNOWN),
    ("KD-7", {}, OK),
    ("KD-7", {"secure_boot": "\x06\x01"}, OK),
    ("KD-7", {"secure_boot": "\x06\x01", "kexec_crash_loaded": "0"}, WARNING),
    ("KD-7", {"secure_boot": "\x06", "kexec_crash_loaded": "0"}, OK),
    ("KD-7", {"lockdown": "none [integrity] confidentiality", "kexec_crash_loaded": "0"}, WARNING),
    ("KD-7", {"kexec_load_disabled": "1"}, WARNING),
    ("KD-7", {"secure_boot": DENIED}, UNKNOWN),
    ("KD-8", {}, OK),
    ("KD-8", {"kdump_image": ABSENT}, WARNING),
    ("KD-8", {"kdump_image": DENIED}, UNKNOWN),
    ("KD-9", {}, OK),
    ("KD-9", {"kdump_newer": "/etc/kdump.conf"}, WARNING),
    ("KD-9", {"kdump_newer": "!no image"}, UNKNOWN),
    ("KD-9", {"kdump_newer": "/etc/fstab", **DEBIAN}, None),
    ("KD-12", {}, OK),
    ("KD-12", {"kdump_test": "fail kdump_test_id=1-1"}, WARNING),
    ("KD-12", {"kdump_test": ABSENT}, WARNING),
    ("KD-12", {"kdump_test": ABSENT, "dumps": "/var/crash/127.0.0.1-2026-11-01-03:12:00/vmcore"}, OK),
    ("KD-12", {"kdump_test": ABSENT, "dumps": DENIED}, UNKNOWN),
    ("KD-12", {**DRILLED, "kdump_test": ABSENT}, OK),
    ("KD-12", {**DRILLED, "kdump_test": "fail kdump_test_id=1-1"}, OK),
    ("KD-12", {**DRILLED, "kdump_test": f"fail kdump_test_id={int(NOW.timestamp()) + 60}-1"}, WARNING),
    ("KD-12", {**DRILLED, "proof_whole": "no", "proof_reason": "it rebooted without one"}, WARNING),
    ("KD-12", {**DRILLED, "release": "5.14.1"}, WARNING),
    ("KD-12", {**DRILLED, "proof_crash_size": "134217728"}, WARNING),
    ("KD-12", {**DRILLED, "kdump_conf": "path /dumps"}, WARNING),
    ("KD-12", {**DRILLED, **REMOTE}, WARNING),
    ("KD-12", {**DRILLED, "kdump_conf": DENIED}, OK),
    ("TG-1", {}, OK),
    ("TG-1", DEBIAN, OK),
    ("TG-1", SUSE, OK),
    ("TG-1", {**SUSE, "kdump_sysconfig": ABSENT}, OK),
    ("TG-1", {"kdump_conf": "btrfs /dev/sdb1"}, WARNING),
    ("TG-1", {**SUSE, "kdump_sysconfig": 'KDUMP_DUMPFORMAT="none"'}, CRITICAL),
    ("TG-1", {**DEBIAN, "kdump_tools": "USE_KDUMP=0"}, CRITICAL),
    ("TG-1", {"kdump_conf": DENIED}, UNKNOWN),
    ("TG-1", {"os_release": ABSENT}, UNKNOWN),
    ("TG-2", {}, OK),
    ("TG-2", {"kdump_conf": "ext4 /dev/sdb1\npath /crash"}, CRITICAL),
    ("TG-2", {"space": "/dev/mapper/root 9 1 850000 1% /"}, WARNING),
    ("TG-2", {"space": "/dev/mapper/root 9 1 850000 1% /", "kdump_conf": "core_collector cp"}, CRITICAL),
    ("TG-2", {"space": DENIED}, UNKNOWN),
    ("TG-2", {"meminfo": DENIED}, UNKNOWN),
    ("TG-2", {"kdump_conf": "ext4 LABEL=dumps"}, UNKNOWN),
    ("TG-2", {"kdump_conf": DENIED}, UNKNOWN),
    ("TG-2", REMOTE, None),
    ("TG-3", {}, OK),
    ("TG-3", {"mounts": f"{DISK}\ntmpfs /var/crash tmpfs rw 0 0"}, CRITICAL),
    ("TG-3", {"mounts": "/dev/sda3 / xfs ro,relatime 0 0"}, CRITICAL),
    ("TG-3", {"folders": ABSENT}, CRITICAL),
    ("TG-3", {"kdump_conf": "ext4 /dev/sdc1"}, CRITICAL),
    ("TG-3", {"mounts": "!too long"}, UNKNOWN),
    ("TG-3", {"kdump_conf": DENIED}, UNKNOWN),
    ("TG-5", {}, None),
    ("TG-5", SUSE, OK),
    ("TG-5", {**SUSE, "kdump_sysconfig": "KDUMP_FREE_DISK_SIZE=900000"}, WARNING),
    ("TG-5", {**SUSE, "space": DENIED}, UNKNOWN),
    ("TG-6", DEBIAN, OK),
    ("TG-6", {**DEBIAN, "kdump_tools": "KDUMP_NUM_DUMPS=1"}, WARNING),
    ("TG-6", SUSE, OK),
    ("TG-6", {**SUSE, "kdump_sysconfig": 'KDUMP_KEEP_OLD_DUMPS="-1"'}, WARNING),
    ("TG-6", {**SUSE, "kdump_sysconfig": DENIED}, UNKNOWN),
    ("TG-9", {}, OK),
    ("TG-9", {"kdump_conf": "core_collector makedumpfile -l -d 1"}, WARNING),
    ("TG-9", {"kdump_conf": "core_collector cp"}, WARNING),
    ("TG-9", {"makedumpfile": ABSENT}, WARNING),
    ("TG-9", {"kdump_conf": DENIED}, UNKNOWN),
    ("TG-10", {}, OK),
    ("TG-10", {"kdump_conf": "failure_action shell"}, WARNING),
    ("TG-10", {"kdump_conf": "default halt"}, WARNING),
    ("TG-10", {"kdump_conf": "final_action poweroff # for the rack"}, WARNING),
    ("TG-10", {**SUSE, "kdump_sysconfig": "KDUMP_IMMEDIATE_REBOOT=no"}, WARNING),
    ("TG-10", {**SUSE, "kdump_sysconfig": 'KDUMP_CONTINUE_ON_ERROR="false"'}, WARNING),
    ("TG-10", {"kdump_conf": DENIED}, UNKNOWN),
    ("TG-11", {}, OK),
    ("TG-11", {"encrypted": "/sys/block/dm-0/dm/uuid:CRYPT-LUKS2-0123abcd-root"}, WARNING),
    ("TG-11", {"encrypted": "/sys/block/dm-1/dm/uuid:CRYPT-LUKS2-0123abcd-home"}, UNKNOWN),
    ("TG-11", {"encrypted": "/sys/block/dm-1/dm/uuid:CRYPT-LUKS2-0123abcd-home", "mounts": DISK}, OK),
    ("TG-11", {"encrypted": DENIED}, UNKNOWN),
    ("WD-1", {}, OK),
    ("WD-1", IPMI_TIMER, CRITICAL),
    ("WD-1", {**IPMI_TIMER, "watchdog_initial_s": "900"}, OK),
    ("WD-1", {**IPMI_TIMER, "watchdog_initial_s": ABSENT}, CRITICAL),
    ("WD-1", {"watchdog_action": DENIED}, UNKNOWN),
    ("WD-1", {"watchdog_action": UNTOLD}, None),
    ("WD-3", {}, OK),
    (
        "WD-3",
        {"watchdogs": f"{RUNNING}\n{WATCHDOG}/timeout:30"},
        WARNING,
    ),
    (
        "WD-3",
        {"watchdogs": f"{RUNNING}\n{WATCHDOG}/timeout:900"},
        OK,
    ),
    ("WD-3", {"watchdogs": f"{WATCHDOG}/identity:iTCO_wdt\n{WATCHDOG}/state:inactive"}, OK),
    ("WD-3", {"watchdogs": f"{WATCHDOG}/identity:Software Watchdog\n{WATCHDOG}/state:active"}, OK),
    ("WD-3", {"watchdogs": f"{ILO}\n{WATCHDOG}/state:active"}, WARNING),
    ("WD-3", {"watchdogs": f"{ILO}\n{WATCHDOG}/state:active", **HPE}, OK),
    ("WD-3", {"watchdogs": DENIED}, UNKNOWN),
    ("FE-1", {}, OK),
    ("FE-1", {"cluster": f"{UNIT}/pacemaker.service\n{UNIT}/corosync.service"}, WARNING),
    (
        "FE-1",
        {
            "cluster": f"{UNIT}/pacemaker.service",
            "fence_kdump": "/etc/kdump.conf:fence_kdump_nodes 192.0.2.11",
        },
        OK,
    ),
    ("FE-1", {"cluster": f"{UNIT}/pacemaker.service", "fence_kdump": DENIED}, UNKNOWN),
    ("FE-1", {"cluster": DENIED}, UNKNOWN),
    ("FE-3", {}, None),
    ("FE-3", {"cluster": f"{UNIT}/watchdog-mux.service"}, WARNING),
    ("FE-3", {"cluster": DENIED}, UNKNOWN),
    ("CH-1", {}, OK),
    ("CH-1", {"channel": "!nobody to ask"}, WARNING),
    ("CH-1", {"channel": "!ssh://192.0.2.10: the login was refused"}, UNKNOWN),
    ("CH-2", {}, OK),
    ("CH-2", {"user": "1000"}, WARNING),
    ("CH-2", {"user": "1000", **DEBIAN}, OK),
    ("CH-2", {"user": "!failed"}, UNKNOWN),
    ("CH-3", {}, OK),
    ("CH-3", REMOTE, WARNING),
    ("CH-3", {"kdump_conf": DENIED}, UNKNOWN),
]


@pytest.mark.parametrize(("check", "change", "level"), CASES)
def test_a_rule_says(check: str, change: dict[str, str], level: Level | None) -> None:
    verdict = LINUX[check](facts(change))
    assert (verdict.level if verdict else None) == level, verdict
    if verdict:
        assert verdict.check == check
        assert verdict.reason
        assert bool(verdict.remedy) == (level in (WARNING, CRITICAL))


@pytest.mark.parametrize("check", LINUX)
def test_every_rule_is_tested_for_ok_not_ok_and_unknown(check: str) -> None:
    tested = {level for name, _, level in CASES if name == check}
    # A check that only informs has no "not OK", and one that only finds something has no "OK".
    wanted = {OK, UNKNOWN} if CHECKS[check].severity is Severity.INFO else {UNKNOWN}
    assert tested >= wanted
    assert CHECKS[check].severity is Severity.INFO or tested & {WARNING, CRITICAL}
    assert OK in tested or check == "FE-3"


@pytest.mark.parametrize("check", LINUX)
def test_no_rule_is_ok_when_nothing_is_known(check: str) -> None:
    for nothing in ({}, facts(dict.fromkeys(facts(), DENIED))):
        verdict = LINUX[check](nothing)
        assert verdict is None or verdict.level is UNKNOWN, verdict
