"""The checks on a Windows host's crash settings. The commands are PowerShell, for an administrator."""

from __future__ import annotations

from functools import partial

from collector.checks.check import Check, Commands
from collector.model.audit import Link, Severity

_check = partial(Check, language="powershell")

_CRASH_CONTROL = r"HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl"
_RESTART = "Restart-Computer"
_OPTIONS = "Microsoft, Memory dump file options (KB254649)"
_ADVICE = "Microsoft, Dump configuration recommendations for stop errors"
_EVENTS = "ntiologc.h of the Windows SDK"

# A page file that is enough by every source for the dump that is configured, as windows_memory.py has it.
_PAGE_FILE: Commands = {
    None: (
        f"$type = (Get-ItemProperty -Path {_CRASH_CONTROL}).CrashDumpEnabled",
        "$modules = Get-CimInstance -ClassName Win32_PhysicalMemory",
        "$ram = ($modules | Measure-Object -Property Capacity -Sum).Sum / 1048576",
        "$kernel = if ($ram -le 131072) { 40960 } elseif ($ram -lt 786432) { 65536 } else { 131072 }",
        "$mb = [int] $(if ($type -eq 1) { $ram + 300 } else { [math]::Min($ram + 128, $kernel) })",
        "$computer = Get-CimInstance -ClassName Win32_ComputerSystem",
        "$computer | Set-CimInstance -Property @{AutomaticManagedPagefile = $false}",
        r"$key = 'HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management'",
        r'$file = "$env:SystemDrive\pagefile.sys $mb $mb"',
        "Set-ItemProperty -Path $key -Name PagingFiles -Type MultiString -Value $file",
        _RESTART,
    )
}


def _number(name: str, number: int) -> str:
    return f"Set-ItemProperty -Path {_CRASH_CONTROL} -Name {name} -Type DWord -Value {number}"


def _set(name: str, number: int) -> Commands:
    """Set a number under CrashControl, which Windows reads when it starts."""
    return {None: (_number(name, number), _RESTART)}


_KNOWS_ACTIVE = "[Environment]::OSVersion.Version.Major -ge 10"
_FILTER = _number("FilterPages", 1)

CRASH = (
    _check(
        "WNMI-1",
        "Windows turns an NMI into a crash",
        Link.CRASH,
        Severity.BLOCKER,
        "Up to Windows 7 and 2008 R2 an NMI is ignored unless NMICrashDump is set; later ones always crash.",
        "Set NMICrashDump to 1, and restart.",
        "Microsoft, NMI_HARDWARE_FAILURE (KB2750146); Generate a kernel or complete crash dump (KB927069)",
        _set("NMICrashDump", 1),
    ),
    _check(
        "WNMI-2",
        "Can a keyboard crash the host?",
        Link.CRASH,
        Severity.INFO,
        "It is the way in at the machine itself, where no controller can send an NMI.",
        "Set CrashOnCtrlScroll to 1 for the keyboard's driver.",
        "Microsoft, Forcing a system crash from the keyboard",
    ),
)

CAPTURE = (
    _check(
        "WCC-1",
        "A dump is configured that shows why a host hangs",
        Link.CAPTURE,
        Severity.BLOCKER,
        "Without one the crash leaves nothing; a small one holds a single thread.",
        "Let Windows write automatic memory dumps, and restart.",
        _OPTIONS,
        _set("CrashDumpEnabled", 7),
    ),
    _check(
        "WCC-2",
        "The dump holds what processes wait for",
        Link.CAPTURE,
        Severity.MEDIUM,
        "A kernel dump shows who waits in the kernel; why a process waits is in its own pages.",
        "Let Windows write active dumps (Windows 10, 2016 and later), or complete ones.",
        _ADVICE,
        {None: (_number("CrashDumpEnabled", 1), f"if ({_KNOWS_ACTIVE}) {{ {_FILTER} }}", _RESTART)},
    ),
    _check(
        "WCC-4",
        "This Windows knows active dumps",
        Link.CAPTURE,
        Severity.MEDIUM,
        "FilterPages makes a complete dump an active one from Windows 10 and 2016 on; before, it is ignored.",
        "Take FilterPages away, and expect a dump of all of memory.",
        "Microsoft, Configure system failure and recovery options (KB307973)",
        {None: (f"Remove-ItemProperty -Path {_CRASH_CONTROL} -Name FilterPages", _RESTART)},
    ),
    _check(
        "WCC-6",
        "Nothing forbids dumps",
        Link.CAPTURE,
        Severity.BLOCKER,
        "A host that is attested for shielded machines may write no dump at all.",
        "Ask who runs the Host Guardian Service; the setting is its policy.",
        "Microsoft, hyperv-tools/DumpEncryption",
    ),
    _check(
        "WCC-10",
        "Only known drivers are in the dump's way",
        Link.CAPTURE,
        Severity.HIGH,
        "A filter sees every page before it is written; one that fails costs the dump, and so does BitLocker "
        "without its own.",
        "Ask the maker of the filter whether it is needed; set DumpFilters to dumpfve.sys.",
        "Microsoft, Installing a crash dump filter driver",
    ),
    _check(
        "WPF-1",
        "The boot volume has a page file, or there is a dedicated dump file",
        Link.CAPTURE,
        Severity.BLOCKER,
        "Windows writes the dump into it, and copies it out after the restart.",
        "Make a page file on the boot volume, and restart.",
        _ADVICE,
        _PAGE_FILE,
    ),
    _check(
        "WPF-3",
        "The page files are as they are configured",
        Link.CAPTURE,
        Severity.MEDIUM,
        "What was changed counts only after a restart.",
        "Restart the host.",
        _OPTIONS,
        {None: (_RESTART,)},
    ),
    _check(
        "WTG-3",
        "The boot disk's driver can write dumps",
        Link.CAPTURE,
        Severity.HIGH,
        "Some drivers abort a dump, and a path to a SAN that changed since the boot is not followed.",
        "Prove it in maintenance by `hang-collector drill HOST`, or dump to a file on a local disk.",
        "virtio-win issues 809 and 1629; Windows Internals, crash dump files",
    ),
    _check(
        "WPR-1",
        "A dump was proved to work here",
        Link.CAPTURE,
        Severity.HIGH,
        "Most dumps that fail do so for a reason that no configuration shows: a driver, a disk, a size.",
        "Put the host into maintenance and run `hang-collector drill HOST`.",
        f"the cases of this program; volmgr 161, 162 and 163, {_EVENTS}; BugCheck 1001",
    ),
    _check(
        "WPR-2",
        "Windows did not complain of its dump settings",
        Link.CAPTURE,
        Severity.BLOCKER,
        "At every start Windows prepares the way of a dump, and says when it cannot.",
        "Mend what the record says, restart, and see that it does not come again.",
        f"volmgr 44, 45, 46, 48, 49, 156 and 164, {_EVENTS}; Microsoft, Event ID 46 (KB2756313)",
    ),
    _check(
        "WPR-3",
        "How did the host crash last?",
        Link.CAPTURE,
        Severity.INFO,
        "A restart without a bug check tells of a reset that left no dump.",
        "Nothing is to be done.",
        "Microsoft, Event ID 41",
    ),
)

FITS = (
    _check(
        "WCC-3",
        "The dump is not too large for the time",
        Link.FITS,
        Severity.MEDIUM,
        "A complete dump of 1 TiB takes three hours at 100 MiB/s, and as long again to be copied.",
        "Let Windows write active dumps (Windows 10, 2016 and later), or kernel dumps.",
        _ADVICE,
        {
            None: (
                f"if ({_KNOWS_ACTIVE}) {{ {_FILTER} }} else {{ {_number('CrashDumpEnabled', 2)} }}",
                _RESTART,
            )
        },
    ),
    _check(
        "WPF-2",
        "The page file is large enough for the dump",
        Link.FITS,
        Severity.BLOCKER,
        "The dump ends where the page file does, and a dump that is cut off cannot be opened.",
        "Give the page file on the boot volume that size from the start, and restart.",
        f"Microsoft, Appropriate page file size for 64-bit versions of Windows; {_ADVICE}",
        _PAGE_FILE,
    ),
    _check(
        "WDD-1",
        "The dedicated dump file is large enough for the dump",
        Link.FITS,
        Severity.BLOCKER,
        "It takes the page file's place; what it cannot hold is lost.",
        "Put it on a local volume, and set DumpFileSize to the MB that are needed.",
        "Microsoft, How to use the DedicatedDumpFile registry value",
    ),
    _check(
        "WTG-1",
        "The dump is copied to a local volume",
        Link.FITS,
        Severity.BLOCKER,
        "Windows copies the dump before the network and removable disks are there.",
        r"Set DumpFile to %SystemRoot%\MEMORY.DMP, or to a path on another local disk.",
        _OPTIONS,
        {
            None: (
                r"$file = '%SystemRoot%\MEMORY.DMP'",
                f"Set-ItemProperty -Path {_CRASH_CONTROL} -Name DumpFile -Type ExpandString -Value $file",
                _RESTART,
            )
        },
    ),
    _check(
        "WTG-2",
        "There is room for the dump",
        Link.FITS,
        Severity.BLOCKER,
        "The copy needs as much again as the dump in the page file.",
        "Free space on the volume, or set DumpFile to a path on another local disk.",
        _OPTIONS,
    ),
    _check(
        "WCC-8",
        "A new dump may replace the old one",
        Link.FITS,
        Severity.BLOCKER,
        "With Overwrite at 0 Windows keeps the old dump and drops the new one.",
        "Set Overwrite to 1, or move the old dump away.",
        _OPTIONS,
        _set("Overwrite", 1),
    ),
)

SURVIVES = (
    _check(
        "WSV-1",
        "No recovery timer of the server's maker ends the dump",
        Link.SURVIVES,
        Severity.HIGH,
        "Such a timer is fed by a driver, and resets the host some minutes after Windows stops.",
        "Turn Automatic Server Recovery off in the firmware, or set it to more than the dump takes.",
        f"{_ADVICE}; Microsoft, Windows-based computer freeze troubleshooting",
    ),
    _check(
        "WSV-2",
        "The cluster leaves its machines the time to dump",
        Link.SURVIVES,
        Severity.HIGH,
        "A machine whose heartbeat stops is reset after about a minute, in the middle of its dump.",
        "Set CheckHeartbeat to 0 for these machines, at least while one of them is to dump.",
        "Microsoft, Corrupted memory dump file of a clustered virtual machine (KB2913486)",
        {
            None: (
                "$all = Get-ClusterResource",
                "$machines = $all | Where-Object { $_.ResourceType.Name -eq 'Virtual Machine' }",
                "$machines | Set-ClusterParameter -Name CheckHeartbeat -Value 0",
            )
        },
    ),
    _check(
        "WSV-3",
        "Who listens to the host's heartbeat?",
        Link.SURVIVES,
        Severity.INFO,
        "A hypervisor may reset a guest that stops answering, and nothing inside the guest shows it.",
        "Look at the cluster of the hypervisor.",
        "Microsoft, Event ID 41; KB2913486",
    ),
    _check(
        "WSV-4",
        "Is the host in a cluster?",
        Link.SURVIVES,
        Severity.INFO,
        "While a node dumps, its roles go to the others.",
        "Nothing is to be done.",
        "Microsoft, Failover clustering",
    ),
)

FETCH = (
    _check(
        "WCC-5",
        "The dump can be read where it is needed",
        Link.FETCH,
        Severity.MEDIUM,
        "An encrypted dump is opened with the private key of its certificate, and by nobody without.",
        "Know who holds the key, and that KernelDumpDecrypt.exe is at hand.",
        "Microsoft, About dump encryption",
    ),
    _check(
        "WCC-7",
        "The host comes back after the dump",
        Link.FETCH,
        Severity.MEDIUM,
        "A host that waits at its blue screen is not fetched from.",
        "Set AutoReboot to 1.",
        "Microsoft, Configure system failure and recovery options (KB307973)",
        _set("AutoReboot", 1),
    ),
    _check(
        "WCC-9",
        "Windows keeps the dump that it made",
        Link.FETCH,
        Severity.HIGH,
        "A client outside of a domain deletes it when less than 25 GB stay free.",
        "Set AlwaysKeepMemoryDump to 1.",
        "Windows Internals, Windows Error Reporting",
        {None: (_number("AlwaysKeepMemoryDump", 1),)},
    ),
    _check(
        "WCH-1",
        "The account may read dumps",
        Link.FETCH,
        Severity.HIGH,
        "Windows makes dumps readable for administrators only, for they hold the kernel's memory.",
        "Use an account that is a member of the host's Administrators for its channels.",
        "Windows Internals, crash dump files",
    ),
)
