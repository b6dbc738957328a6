"""What the lab host says of itself: a RHEL 8 server with kdump armed, whose storage stops answering."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from collector.lab import vmcore
from collector.lab.tree import Content

Log = Sequence[tuple[float, str]]
"""Kernel log lines: seconds since boot, and the text."""

COMMAND_LINE = "BOOT_IMAGE=(hd0,gpt2)/vmlinuz-4.18.0 root=/dev/mapper/rhel-root ro crashkernel=256M"

DISK = (
    "Filesystem            1024-blocks     Used Available Capacity Mounted on\n"
    "/dev/mapper/rhel-root   957923328 41204224 916719104       5% /\n"
)
"""What `df -Pk` prints."""

_MEMORY = """\
MemTotal:       16003072 kB
MemFree:         4801212 kB
Cached:          6204416 kB
AnonPages:       3887104 kB
Slab:             512340 kB
KernelStack:        9216 kB
PageTables:        42048 kB
VmallocUsed:       68412 kB
Percpu:            12288 kB
"""


def files() -> dict[str, Content]:
    """Return the files that do not change from boot to boot, by path."""
    texts = {
        "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/kdump.conf": "path /var/crash\ncore_collector makedumpfile -l --message-level 7 -d 31\n",
        "/etc/os-release": 'NAME="Red Hat Enterprise Linux"\nVERSION_ID="8.10"\nID="rhel"\n',
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=256M"\n',
        "/etc/sysctl.d/90-nmi.conf": "kernel.unknown_nmi_panic = 1\n",
        "/etc/systemd/system/multi-user.target.wants/kdump.service": "[Service]\nType=oneshot\n",
        f"/boot/System.map-{vmcore.RELEASE}": "",
        f"/boot/initramfs-{vmcore.RELEASE}kdump.img": "",
        "/usr/sbin/makedumpfile": "",
        "/proc/cmdline": COMMAND_LINE + "\n",
        "/proc/meminfo": _MEMORY,
        "/proc/modules": "dm_multipath 45056 1 - Live 0x0000000000000000\n",
        "/proc/mounts": "/dev/mapper/rhel-root / xfs rw,relatime 0 0\n",
        "/proc/sys/kernel/osrelease": vmcore.RELEASE + "\n",
        "/proc/sys/kernel/panic": "0\n",
        "/proc/sys/kernel/panic_on_io_nmi": "1\n",
        "/proc/sys/kernel/panic_on_oops": "1\n",
        "/proc/sys/kernel/panic_on_unrecovered_nmi": "1\n",
        "/proc/sys/kernel/hardlockup_panic": "1\n",
        "/proc/sys/kernel/sysrq": "16\n",
        "/proc/sys/kernel/tainted": "0\n",
        "/proc/sys/kernel/unknown_nmi_panic": "1\n",
        "/sys/class/dmi/id/product_name": "Lab Server\n",
        "/sys/class/dmi/id/sys_vendor": "Example\n",
        f"/lib/modules/{vmcore.RELEASE}/modules.dep": "",
        "/sys/kernel/btf/vmlinux": "",
        "/sys/kernel/kexec_crash_loaded": "1\n",
        "/sys/kernel/kexec_crash_size": "268435456\n",
        "/sys/module/kernel/parameters/crash_kexec_post_notifiers": "N\n",
        "/var/crash/.keep": "",
        "/var/lib/kdump/vmcore-creation.status": "success kdump_test_id=1793491200-1\n",
    }
    return {path: text.encode() for path, text in texts.items()}


def boot_log(hostname: str) -> Log:
    """Return what the kernel says while it boots."""
    return (
        (0.0, f"Linux version {vmcore.RELEASE} (gcc 8.5.0) #1 SMP"),
        (0.0, f"Command line: {COMMAND_LINE}"),
        (0.012, "Reserving 256MB of memory at 2816MB for crashkernel"),
        (2.481, "sd 0:0:0:0: [sda] 1953525168 512-byte logical blocks: (1.00 TB/931 GiB)"),
        (4.902, f"systemd[1]: Set hostname to <{hostname}>."),
    )


def crash_log(hostname: str, uptime: float) -> Log:
    """Return the log of the kernel that hung and then panicked `uptime` seconds after it booted."""
    stuck = max(uptime - 260, 10)
    return (
        *boot_log(hostname),
        (stuck, "sd 0:0:0:0: [sda] tag#117 timing out command, waited 180s"),
        (stuck + 120, "INFO: task postgres:2741 blocked for more than 120 seconds."),
        (stuck + 120, "task:postgres        state:D stack:    0 pid: 2741 ppid:  2655 flags:0x00000080"),
        (stuck + 120, "Call Trace:"),
        (stuck + 120, " __schedule+0x2d1/0x870"),
        (stuck + 120, " io_schedule+0x12/0x40"),
        (stuck + 120, " wait_on_page_bit+0x137/0x230"),
        (uptime, "Uhhuh. NMI received for unknown reason 21 on CPU 0."),
        (uptime, "Kernel panic - not syncing: NMI: Not continuing"),
    )


def capture_log(*, saved: bool) -> bytes:
    """Return the log of the capture kernel (kexec-dmesg.log)."""
    lines = [
        (0.0, f"Linux version {vmcore.RELEASE} (gcc 8.5.0) #1 SMP"),
        (0.0, f"Command line: {COMMAND_LINE} irqpoll nr_cpus=1 reset_devices"),
        (6.2, "kdump[561]: saving vmcore-dmesg.txt complete"),
        (6.3, "kdump[563]: saving vmcore"),
        (9.8, f"kdump[611]: saving vmcore {'complete' if saved else 'failed, exitcode:1'}"),
    ]
    return text(lines)


def text(log: Log) -> bytes:
    """Return the log as `dmesg` prints it."""
    return "".join(f"[{seconds:12.6f}] {line}\n" for seconds, line in log).encode()


def journal(hostname: str, log: Log, booted: float) -> bytes:
    """Return the kernel's lines as `journalctl -k` prints them; `booted` is seconds since the epoch."""
    start = datetime.fromtimestamp(booted, UTC)
    stamps = ((start + timedelta(seconds=seconds), line) for seconds, line in log)
    return "".join(f"{at:%b %d %H:%M:%S.%f} {hostname} kernel: {line}\n" for at, line in stamps).encode()


def uptime(seconds: float) -> bytes:
    """Return what `uptime` prints."""
    days, rest = divmod(int(seconds), 86400)
    now = time.strftime("%H:%M:%S", time.gmtime())
    return f" {now} up {days} days, {rest // 3600:2}:{rest % 3600 // 60:02},  0 users\n".encode()


def clock() -> bytes:
    """Return what `date +%s` prints."""
    return f"{int(time.time())}\n".encode()
