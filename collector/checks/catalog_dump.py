"""The checks on the capture kernel, on the dump's target, and on the way home."""

from __future__ import annotations

from collector.checks.check import ENABLE, RESTART, Check, Commands
from collector.checks.family import Family
from collector.model.audit import Link, Severity

_GRUB_D = (
    "echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=512M\"'"
    " > /etc/default/grub.d/kdump-tools.cfg"
)
_INSTALL: Commands = {
    Family.RHEL: (
        "dnf install -y kexec-tools",
        "grubby --update-kernel=ALL --args=crashkernel=512M",
        "systemctl enable kdump.service",
        "reboot",
    ),
    Family.DEBIAN: (
        "apt-get install -y kdump-tools",
        _GRUB_D,
        "update-grub",
        "systemctl enable kdump-tools.service",
        "reboot",
    ),
    Family.SUSE: (
        "zypper install -y kdump",
        "kdumptool commandline -u",
        "systemctl enable kdump.service",
        "reboot",
    ),
}


CAPTURE = (
    Check(
        "KD-1",
        "A capture kernel is loaded",
        Link.CAPTURE,
        Severity.BLOCKER,
        "Without one the panic ends in a reboot, and the evidence is gone.",
        "Install kdump, reserve memory for it, enable its service, and reboot.",
        "Linux Documentation/ABI/testing/sysfs-kernel-kexec-kdump",
        _INSTALL,
    ),
    Check(
        "KD-2",
        "Enough memory is reserved for the capture kernel",
        Link.CAPTURE,
        Severity.HIGH,
        "A capture kernel that runs out of memory hangs or reboots without a dump.",
        "Reserve more memory with crashkernel=, and reboot.",
        "kdump-utils kdump-lib.sh; Debian kdump-tools grub.d/kdump-tools.cfg",
        _INSTALL,
    ),
    Check(
        "KD-3",
        "The kernel was booted with crashkernel=",
        Link.CAPTURE,
        Severity.BLOCKER,
        "Memory for the capture kernel is reserved at boot or never.",
        "Add crashkernel= to the boot loader's configuration, and reboot.",
        "Linux Documentation/admin-guide/kdump/kdump.rst",
        _INSTALL,
    ),
    Check(
        "KD-4",
        "The memory for the capture kernel could be reserved",
        Link.CAPTURE,
        Severity.BLOCKER,
        "The kernel may find no free piece of that size; it says so once, at boot.",
        "Give crashkernel= another size, without an @offset, and reboot.",
        "Linux Documentation/admin-guide/kdump/kdump.rst",
        _INSTALL,
    ),
    Check(
        "KD-5",
        "kdump's service starts at boot",
        Link.CAPTURE,
        Severity.HIGH,
        "Armed by hand, it is unarmed after the next reboot.",
        "Enable the service.",
        "kdump.service of kdump-utils; kdump-tools.service of Debian",
        ENABLE,
    ),
    Check(
        "KD-6",
        "The firmware-assisted dump is registered",
        Link.CAPTURE,
        Severity.BLOCKER,
        "On Power with fadump the firmware keeps the memory, if the kernel has registered it.",
        "Restart kdump's service and read its journal.",
        "Linux Documentation/powerpc/firmware-assisted-dump.rst",
        RESTART,
    ),
    Check(
        "KD-7",
        "Secure Boot lets the capture kernel be loaded",
        Link.CAPTURE,
        Severity.HIGH,
        "Under lockdown only a signed kernel may be loaded, and only by kexec_file_load.",
        "Let kexec use kexec_file_load (`-s`) and a signed kernel; leave kernel.kexec_load_disabled at 0.",
        "Linux kernel/kexec.c, LOCKDOWN_KEXEC; kernel_lockdown(7)",
        RESTART,
    ),
    Check(
        "KD-8",
        "The capture image is made for the running kernel",
        Link.CAPTURE,
        Severity.HIGH,
        "After an update the image may belong to a kernel that is not there any more.",
        "Restart kdump's service: it makes the image anew.",
        "kdumpctl of kdump-utils; kdump-config of Debian",
        RESTART,
    ),
    Check(
        "KD-9",
        "The capture image is not stale",
        Link.CAPTURE,
        Severity.HIGH,
        "The image holds a copy of the configuration: what changed since is not in it.",
        "Restart kdump's service: it makes the image anew.",
        "kdump.conf(5); kdumpctl of kdump-utils, check_files_modified",
        RESTART,
    ),
    Check(
        "KD-12",
        "A dump was proved to work here",
        Link.CAPTURE,
        Severity.HIGH,
        "Most dumps that fail do so for a reason that no configuration shows: a driver, a network, a size.",
        "Put the host into maintenance and run `hang-collector drill HOST`.",
        "the cases of this program; kdump-utils, `kdumpctl test`",
    ),
)

FITS = (
    Check(
        "TG-1",
        "The dump has a target that kdump supports",
        Link.FITS,
        Severity.HIGH,
        "A target that is not supported fails in the capture kernel, where nobody sees it.",
        "Set a local path on ext4 or xfs.",
        "kdump-utils supported-kdump-targets.txt; kdump.conf(5)",
    ),
    Check(
        "TG-2",
        "There is room for the dump",
        Link.FITS,
        Severity.BLOCKER,
        "A dump that fills its file system is cut off, and Debian's kdump calls it complete.",
        "Free or add space at the target, or leave more out of the dump.",
        "kdump-utils mkdumprd, check_size",
    ),
    Check(
        "TG-3",
        "The target is mounted, writable, and outlives the crash",
        Link.FITS,
        Severity.BLOCKER,
        "What is written to memory or to a read-only file system is lost.",
        "Mount the target read-write on a disk, and create its folder.",
        "kdump-utils mkdumprd, check_user_configured_target",
        {None: ("mkdir -p -m 0700 /var/crash",)},
    ),
    Check(
        "TG-5",
        "SUSE's kdump keeps the dump it wrote",
        Link.FITS,
        Severity.HIGH,
        "It deletes a finished dump when less than KDUMP_FREE_DISK_SIZE stays free.",
        "Free space at the target, or lower KDUMP_FREE_DISK_SIZE in /etc/sysconfig/kdump.",
        "openSUSE kdump, kdump-save",
    ),
    Check(
        "TG-6",
        "Retention leaves this dump alone",
        Link.FITS,
        Severity.MEDIUM,
        "A second crash in the same night deletes the dump of the first.",
        "Keep several dumps.",
        "kdump-tools(5); kdump(5) of SUSE",
    ),
    Check(
        "TG-9",
        "The dump leaves out what a hang does not need",
        Link.FITS,
        Severity.MEDIUM,
        "User pages make the dump many times larger and slower, and full of other people's data.",
        "Use makedumpfile with -d 31.",
        "makedumpfile(8)",
        {
            Family.RHEL: (
                "sed -i 's/^core_collector.*/core_collector makedumpfile -l -d 31/' /etc/kdump.conf",
                *RESTART[Family.RHEL],
            ),
        },
    ),
    Check(
        "TG-11",
        "The target is not encrypted",
        Link.FITS,
        Severity.HIGH,
        "The capture kernel asks for the passphrase, and nobody is there.",
        "Put the dump on a volume that is not encrypted, or send it over ssh.",
        "kdumpctl of kdump-utils, prepare_luks",
    ),
)

FETCH = (
    Check(
        "CH-1",
        "The host lets us in to fetch the dump",
        Link.FETCH,
        Severity.HIGH,
        "The dump lies on the host's disk; without a login somebody has to carry it home.",
        "Add an `ssh` channel to the host in the settings, and see that its login works.",
        "docs/walk-through-the-house.md, retrieve",
    ),
    Check(
        "CH-2",
        "The account may read dumps",
        Link.FETCH,
        Severity.HIGH,
        "kdump makes dumps readable for root only, for they hold the kernel's memory.",
        "Use root's account for this channel, or one that may read the dump's folder.",
        "kdump.sh of kdump-utils; kdump-save of SUSE",
    ),
    Check(
        "CH-3",
        "The dump stays where we fetch it",
        Link.FETCH,
        Severity.MEDIUM,
        "A dump that goes to another server is not found on the host.",
        "Fetch it from that server, or set a local path.",
        "kdump.conf(5); kdump-tools(5); kdump(5) of SUSE",
    ),
)
