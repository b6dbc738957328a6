"""The script that reads what an audit judges: builtins and `cat`, one round trip, no file written.

`cat` reads the files under /proc/sys, not `read`: some shells read one byte at a time, and those files give
their first byte only. What no file tells is asked of a program that only prints, under `timeout`: `df` for
the free space of local file systems (busybox knows no local ones, and is asked for all), `stat` for the mode
of a folder, `makedumpfile` for its version.

Answers are lines of `name=value`, repeated for each line of a file, or `name!reason`. A reason that comes
first is replaced by the values that follow it; one that comes after values takes their place. So an answer
that was cut short never looks like a whole one.
"""

from __future__ import annotations

from collections.abc import Mapping

SYSCTLS = (
    "unknown_nmi_panic",
    "panic_on_unrecovered_nmi",
    "panic_on_io_nmi",
    "panic",
    "panic_on_oops",
    "panic_print",
    "hardlockup_panic",
    "softlockup_panic",
    "hung_task_panic",
    "sysrq",
    "kexec_load_disabled",
    "nmi_watchdog",
)
"""Names under /proc/sys/kernel; Linux Documentation/admin-guide/sysctl/kernel.rst."""

FILES: Mapping[str, str] = {
    **{name: f"/proc/sys/kernel/{name}" for name in SYSCTLS},
    "boot_id": "/proc/sys/kernel/random/boot_id",
    "uptime": "/proc/uptime",
    "cmdline": "/proc/cmdline",
    "meminfo": "/proc/meminfo",
    "mounts": "/proc/mounts",
    "os_release": "/etc/os-release",
    # Linux Documentation/ABI/testing/sysfs-kernel-kexec-kdump, sysfs-kernel-fadump
    "kexec_crash_loaded": "/sys/kernel/kexec_crash_loaded",
    "kexec_crash_size": "/sys/kernel/kexec_crash_size",
    "fadump_enabled": "/sys/kernel/fadump/enabled",
    "fadump_registered": "/sys/kernel/fadump/registered",
    "crash_kexec_post_notifiers": "/sys/module/kernel/parameters/crash_kexec_post_notifiers",
    "lockdown": "/sys/kernel/security/lockdown",
    # UEFI 2.10 section 3.3: four bytes of attributes, then one that is 1 while Secure Boot is on
    "secure_boot": "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    # Linux drivers/watchdog/hpwdt.c and drivers/char/ipmi/ipmi_watchdog.c
    "hpwdt_kdumptimeout": "/sys/module/hpwdt/parameters/kdumptimeout",
    "hpwdt_pretimeout": "/sys/module/hpwdt/parameters/pretimeout",
    "ipmi_watchdog_preaction": "/sys/module/ipmi_watchdog/parameters/preaction",
    "ipmi_watchdog_preop": "/sys/module/ipmi_watchdog/parameters/preop",
    "ipmi_watchdog_timeout": "/sys/module/ipmi_watchdog/parameters/timeout",
    # Linux arch/x86/platform/uv/uv_nmi.c
    "uv_nmi_action": "/sys/module/uv_nmi/parameters/action",
    "vendor": "/sys/class/dmi/id/sys_vendor",
    "product": "/sys/class/dmi/id/product_name",
    # kdump.conf(5) of kdump-utils; kdump-tools(5) of Debian; kdump(5) of SUSE
    "kdump_conf": "/etc/kdump.conf",
    "kdump_sysconfig": "/etc/sysconfig/kdump",
    "kdump_tools": "/etc/default/kdump-tools",
    "kdump_test": "/var/lib/kdump/vmcore-creation.status",
}
"""Whole files, by the name of the fact."""

_LINES = {
    "nmi_settings": (
        "*nmi*",
        " ".join(f"{folder}/sysctl.d/*.conf" for folder in ("/usr/lib", "/usr/local/lib", "/run", "/etc"))
        + " /etc/sysctl.conf",
    ),
    "boot_crashkernel": (
        "*crashkernel*",
        "/etc/default/grub /etc/default/grub.d/*.cfg /boot/grub2/grubenv /boot/loader/entries/*.conf",
    ),
    "systemd_watchdog": ("*Watchdog*", "/etc/systemd/system.conf /etc/systemd/system.conf.d/*.conf"),
    "watchdogs": (
        "*",
        " ".join(f"/sys/class/watchdog/watchdog*/{name}" for name in ("identity", "state", "timeout")),
    ),
    "encrypted": ("CRYPT*", "/sys/block/dm-*/dm/uuid"),
    "fence_kdump": (
        "*fence_kdump*",
        "/etc/kdump.conf /etc/sysconfig/fence_kdump /var/lib/pacemaker/cib/cib.xml",
    ),
    "maintenance": ("*maintenance-mode*", "/var/lib/pacemaker/cib/cib.xml"),
}
"""Lines of several files that match a pattern, as `path:line`."""

_SERVICES = ("pacemaker", "corosync", "sbd", "pve-ha-lrm", "watchdog-mux")
_AGENTS = (
    *("hp-health", "hp-asrd", "dsm_sa_datamgrd", "dcismeng", "srvmagt", "eecd"),  # of the server's maker
    *("ohasd", "oracle-ohasd", "kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent"),
    *("nova-compute", "openstack-nova-compute"),
)

# Where kdump-utils, SUSE's kdump and Debian's kdump-tools keep the capture kernel's initramfs.
_IMAGES = (
    "/boot/initramfs-${release}kdump.img /var/lib/kdump/initramfs-${release}kdump.img"
    " /var/lib/kdump/initrd /var/lib/kdump/initrd.img-${release}"
)


def _units(names: tuple[str, ...]) -> str:
    """A unit's control group is there as long as it runs, for anyone to see and without asking systemd."""
    return " ".join(
        f"/sys/fs/cgroup/{tree}system.slice/{name}.service" for name in names for tree in ("", "systemd/")
    )


_PRESENT = {
    "kdump_enabled": " ".join(
        f"/etc/systemd/system/*.wants/{name}.service" for name in ("kdump", "kdump-tools")
    ),
    "kdump_image": _IMAGES,
    "drivers": "/sys/module/hpwdt /sys/module/ipmi_watchdog",
    "makedumpfile": "/usr/sbin/makedumpfile /usr/bin/makedumpfile /sbin/makedumpfile",
    "cluster": _units(_SERVICES),
    "agents": _units(_AGENTS),
    "modules": "/lib/modules/${release}",
    "ssh_files": "/root/.ssh/*",
    "symbols": "/sys/kernel/btf/vmlinux /boot/System.map-${release} /lib/modules/${release}/System.map"
    " /usr/lib/debug/boot/vmlinux-${release} /usr/lib/debug/lib/modules/${release}/vmlinux"
    " /boot/vmlinux-${release}.debug /usr/lib/debug/boot/vmlinux-${release}.debug",
    "interfaces": "/sys/class/net/*/device /sys/class/net/*/master /proc/net/vlan/*",
    "dumps": "/var/crash/*/vmcore /var/crash/*/dump.* /var/crash/*/vmcore.*",
    "folders": "/var/crash",
}
"""Paths that exist, out of these."""

_CHANGED = "/etc/kdump.conf /etc/sysconfig/kdump /etc/fstab"
"""What the capture kernel's image was made from; it is stale when one of these is newer."""

_FUNCTIONS = """
LC_ALL=C; PATH=$PATH:/usr/sbin:/sbin; export LC_ALL PATH;
end=$(printf "\\nx"); end=${end%x}; release=$(uname -r);
unseen() { folder=$1; while folder=${folder%/*}; [ -n "$folder" ]; do
  if [ -d "$folder" ]; then [ -r "$folder" ] && [ -x "$folder" ] && return 1; return 0; fi;
  done; return 1; };
rows() { n=0; while IFS= read -r line || [ -n "$line" ]; do
  case $line in $4) ;; *) continue;; esac;
  n=$((n+1)); if [ $n -gt $2 ]; then echo "$1!too long"; break; fi;
  printf "%s=%s%.4000s\\n" "$1" "$3" "$line"; done; };
file() { if [ -f "$2" ] && [ -r "$2" ]; then
    echo "$1!empty"; cat "$2" 2>/dev/null | rows "$1" 2000 "" "*";
  elif [ -e "$2" ] || unseen "$2"; then echo "$1!denied"; else echo "$1!absent"; fi; };
lines() { name=$1 pattern=$2 denied=; shift 2; echo "$name!absent"; for path; do
  case $path in *"$end"*) continue;; esac;
  if [ -f "$path" ] && [ -r "$path" ]; then cat "$path" 2>/dev/null | rows "$name" 200 "$path:" "$pattern";
  elif [ -e "$path" ] || unseen "$path"; then denied=1; fi; done;
  if [ -n "$denied" ]; then echo "$name!denied"; fi; };
first() { if [ -r "$3" ]; then echo "$1!absent"; cat "$3" 2>/dev/null | while IFS= read -r line; do
  case $line in $2) printf "%s=%.200s\\n" "$1" "$line"; break;; esac; done;
  elif [ -e "$3" ]; then echo "$1!denied"; else echo "$1!absent"; fi; };
present() { name=$1 denied= n=0; shift; echo "$name!absent"; for path; do
  case $path in *"$end"*) continue;; esac;
  if [ -e "$path" ] || [ -L "$path" ]; then n=$((n+1)); [ $n -gt 200 ] || printf "%s=%s\\n" "$name" "$path";
  elif unseen "$path"; then denied=1; fi; done;
  if [ $n -eq 0 ] && [ -n "$denied" ]; then echo "$name!denied"; fi; };
newer() { name=$1 image=; for path in $2; do [ -e "$path" ] && image=$path; done; shift 2;
  if [ -z "$image" ]; then echo "$name!no image"; return; fi; echo "$name!none"; for path; do
  if [ "$path" -nt "$image" ]; then echo "$name=$path"; fi; done; };
say() { name=$1; shift; echo "$name=$("$@" 2>/dev/null)"; };
table() { name=$1; shift; echo "$name!failed";
  { timeout 5 "$@" || timeout 5 "$1" -Pk; } 2>/dev/null | rows "$name" 500 "" "*"; };
"""

MARK = ": facts"
"""Comes between the functions and their calls, which end with `; ` each."""

CALLS = (
    *(f"file {name} {path}" for name, path in FILES.items()),
    *(f'lines {name} "{pattern}" {paths}' for name, (pattern, paths) in _LINES.items()),
    *(f"present {name} {paths}" for name, paths in _PRESENT.items()),
    f'newer kdump_newer "{_IMAGES}" {_CHANGED}',
    f'newer identity_newer "{_IMAGES}" /etc/machine-id',
    'first cpu_vendor "vendor_id*" /proc/cpuinfo',
    "say release uname -r",
    "say machine uname -m",
    "say clock date +%s",
    "say user id -u",
    "say crash_mode timeout 5 stat -c %a /var/crash",
    "say makedumpfile_version timeout 5 makedumpfile -v",
    "table space df -Pkl",
    "say end echo 1",
)

NAMES = frozenset(call.split()[1] for call in CALLS)
"""The facts that a whole answer holds, each with its value or its reason."""

COMMAND = f"sh -c '{' '.join(_FUNCTIONS.split())} {MARK}; {'; '.join(CALLS)}'"
"""The one command that is sent."""
