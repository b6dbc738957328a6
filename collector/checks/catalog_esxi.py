"""The checks on an ESXi host. The commands are for its shell."""

from __future__ import annotations

from collector.checks.check import Check, Commands
from collector.model.audit import Link, Severity

_NMI = "Broadcom KB 344096; ESXi advanced and kernel settings, 6.0 to 9.0"
_SCREEN = "Broadcom KB 337182; ESXi advanced settings, 6.0 to 9.0"
_COREDUMP = "ESXCLI reference, system coredump"
_EXTRACTION = "the boot script of ESXi that extracts the dump to /var/core"


def _set(option: str, number: int) -> Commands:
    return {None: (f"esxcli system settings advanced set -o {option} -i {number}",)}


CRASH = (
    Check(
        "ENMI-1",
        "An NMI ends in a purple screen",
        Link.CRASH,
        Severity.BLOCKER,
        "Misc.NMILint1IntAction may also send the host into a debugger, or log the NMI and go on.",
        "Set Misc.NMILint1IntAction to 0 or 2.",
        _NMI,
        _set("/Misc/NMILint1IntAction", 0),
    ),
    Check(
        "ENMI-2",
        "The boot option lets an NMI panic",
        Link.CRASH,
        Severity.HIGH,
        "VMkernel.Boot.nmiAction decides until the advanced options are read.",
        "Set VMkernel.Boot.nmiAction to 0 or 2, and restart.",
        _NMI,
        {None: ("esxcli system settings kernel set -s nmiAction -v 0", "reboot")},
    ),
)

CAPTURE = (
    Check(
        "ECD-1",
        "There is a place for the core dump",
        Link.CAPTURE,
        Severity.BLOCKER,
        "Without an active partition, file or collector the purple screen has no place to dump to.",
        "Activate a dump file on a datastore.",
        _COREDUMP,
        {
            None: (
                "esxcli system coredump file add --auto --enable true",
                "esxcli system coredump file set --smart --enable true",
            )
        },
    ),
    Check(
        "ECD-2",
        "The purple screen is allowed to dump",
        Link.CAPTURE,
        Severity.BLOCKER,
        "With Misc.MinimalPanic the host does not attempt a core dump.",
        "Set Misc.MinimalPanic to 0.",
        _SCREEN,
        _set("/Misc/MinimalPanic", 0),
    ),
    Check(
        "ECD-3",
        "A host without a place for its dump says so",
        Link.CAPTURE,
        Severity.MEDIUM,
        "UserVars.SuppressCoredumpWarning hides vCenter's warning that no dump can be taken.",
        "Set UserVars.SuppressCoredumpWarning to 0.",
        _COREDUMP,
        _set("/UserVars/SuppressCoredumpWarning", 0),
    ),
)

FITS = (
    Check(
        "ETG-1",
        "The dump is extracted to a datastore at the next boot",
        Link.FITS,
        Severity.HIGH,
        "With /var/core in memory nothing is extracted, and the next crash overwrites the slot it lies in.",
        "Give the host a scratch location on a datastore, and restart.",
        _EXTRACTION,
    ),
    Check(
        "ETG-2",
        "There is room where the dump is extracted",
        Link.FITS,
        Severity.MEDIUM,
        "With less than 600 MB free older dumps are deleted for the new one.",
        "Free space on the datastore that holds the scratch location.",
        _EXTRACTION,
    ),
    Check(
        "ETG-3",
        "No dump of an earlier crash waits in the slot",
        Link.FITS,
        Severity.MEDIUM,
        "A dump that was not extracted at boot stays in its slot, and the next crash overwrites it there.",
        "Extract it to a datastore with room: one of the two commands finds it.",
        _EXTRACTION,
        {
            None: (
                "esxcfg-dumppart -F -C -D active -n -z /vmfs/volumes/DATASTORE/zdump",
                "esxcfg-dumppart -C -D active -n -z /vmfs/volumes/DATASTORE/zdump",
            )
        },
    ),
    Check(
        "EPR-1",
        "Has this host dumped before?",
        Link.FITS,
        Severity.INFO,
        "A dump in /var/core is proof, as far as nothing has changed since.",
        "Drill it in maintenance.",
        _EXTRACTION,
    ),
)

SURVIVES = (
    Check(
        "ESV-1",
        "The purple screen stays until the dump is written",
        Link.SURVIVES,
        Severity.HIGH,
        "Misc.BlueScreenTimeout restarts the host; a dump of a large host takes up to an hour.",
        "Set Misc.BlueScreenTimeout to 0, or to an hour and more; at 0 somebody must reset the host.",
        _SCREEN,
        _set("/Misc/BlueScreenTimeout", 0),
    ),
    Check(
        "ESV-2",
        "How many virtual machines go down with it?",
        Link.SURVIVES,
        Severity.INFO,
        "An NMI to the host powers every machine on it off without warning.",
        "Move them away first, where vCenter still can.",
        _NMI,
    ),
)
