"""Would an ESXi host panic on an NMI, dump, and bring the dump to where it can be fetched?"""

from __future__ import annotations

import re

from collector.checks.rule import bad, good, is_absent, lines, unknown
from collector.model.fact import Facts, number, value
from collector.model.verdict import Level, Verdict

# VMkernel.Boot.nmiAction and Misc.NMILint1IntAction, as their help texts give them from 7.0 U3d on.
_PANICS = {0: "panics by default", 2: "panics"}
_NO_DUMP = {
    1: "stops in a debugger",
    3: "logs the NMI and goes on",
    4: "logs an NMI that it cannot explain and goes on",
}
_DEBUGGER = 1

_EXTRACTION_BYTES = 600 * 1000**2
_LONG_DUMP_S = 3600
_COLUMNS_AFTER_NAME = 2  # size and free, both in bytes, end a line of `esxcli storage filesystem list`


def nmi_panics(facts: Facts) -> Verdict | None:
    """ENMI-1: the LINT1 interrupt, which is what a BMC's NMI arrives as."""
    return _nmi("ENMI-1", facts, "nmi_lint", option(facts, "nmi_lint"))


def nmi_at_boot(facts: Facts) -> Verdict | None:
    """ENMI-2: the kernel setting; the runtime value is the one in force."""
    found = re.search(r"^nmiAction\s+\S+\s+\S+\s+(\d+)", value(facts, "nmi_action") or "", re.MULTILINE)
    return _nmi("ENMI-2", facts, "nmi_action", int(found[1]) if found else None)


def place_for_dump(facts: Facts) -> Verdict | None:
    """ECD-1: a partition, a file, or a network collector; one that is active is enough."""
    partition, file = (
        setting(facts, "coredump_partition", "Active"),
        setting(facts, "coredump_file", "Active"),
    )
    if file or partition:
        return good("ECD-1", f"it goes to {file or partition}")
    if setting(facts, "coredump_network", "Enabled") == "true":
        server = setting(facts, "coredump_network", "Network Server IP")
        text = f"it goes to the collector at {server} alone, unencrypted and unacknowledged"
        return bad("ECD-1", text, Level.WARNING)
    names = ("coredump_partition", "coredump_file", "coredump_network")
    if any(value(facts, name) is None and not is_absent(facts, name) for name in names):
        return unknown("ECD-1", facts, *names)
    return bad("ECD-1", "no partition, no file and no collector is active: the dump has no place to go")


def may_dump(facts: Facts) -> Verdict | None:
    """ECD-2."""
    minimal = option(facts, "minimal_panic")
    if minimal is None:
        return unknown("ECD-2", facts, "minimal_panic")
    if minimal:
        return bad("ECD-2", "Misc.MinimalPanic is set: no core dump is attempted")
    return good("ECD-2", "the purple screen attempts a core dump")


def warns(facts: Facts) -> Verdict | None:
    """ECD-3."""
    hidden = option(facts, "suppress_coredump_warning")
    if hidden is None:
        return unknown("ECD-3", facts, "suppress_coredump_warning")
    if hidden:
        return bad("ECD-3", "vCenter's warning about a missing core dump is hidden")
    return good("ECD-3", "vCenter warns when there is no place for a core dump")


def extracted(facts: Facts) -> Verdict | None:
    """ETG-1: at boot the dump is taken out of its slot only if /var/core is on a datastore."""
    folder = value(facts, "core_folder")
    if folder is None:
        return unknown("ETG-1", facts, "core_folder")
    if folder.startswith("/vmfs/volumes/"):
        return good("ETG-1", f"it is extracted to {folder}")
    return bad("ETG-1", f"/var/core is {folder}, in memory: the dump stays in its slot")


def room(facts: Facts) -> Verdict | None:
    """ETG-2: bytes free on the volume of /var/core."""
    folder = value(facts, "core_folder")
    if folder is None or not folder.startswith("/vmfs/volumes/"):
        return None
    free = _free(facts, folder)
    if free is None:
        return unknown("ETG-2", facts, "filesystems")
    text = f"{free // 1000**2} MB are free on the volume of {folder}"
    return good("ETG-2", text) if free >= _EXTRACTION_BYTES else bad("ETG-2", text)


def slot_is_free(facts: Facts) -> Verdict | None:
    """ETG-3."""
    slot = value(facts, "dump_slot")
    if slot is None:
        return unknown("ETG-3", facts, "dump_slot")
    if slot == "none":
        return good("ETG-3", "no dump waits in its slot")
    return bad(
        "ETG-3", f"a dump that nobody extracted lies in its slot ({slot}): the next crash overwrites it"
    )


def stays_purple(facts: Facts) -> Verdict | None:
    """ESV-1: when the time-out begins to count is not documented, so it has to outlast the dump."""
    seconds = option(facts, "blue_screen_timeout")
    if seconds is None:
        return unknown("ESV-1", facts, "blue_screen_timeout")
    if seconds == 0:
        return good("ESV-1", "the purple screen stays until somebody resets the host")
    text = f"the host restarts {seconds} s into the purple screen"
    return good("ESV-1", text) if seconds >= _LONG_DUMP_S else bad("ESV-1", f"{text}, dump or not")


def machines(facts: Facts) -> Verdict | None:
    """ESV-2: the host's own word, else its vCenter's."""
    own, seen = number(facts, "machines"), number(facts, "vcenter_machines")
    count = seen if own is None else own
    if count is None:
        return unknown("ESV-2", facts, "machines")
    by = " as its vCenter knows it" if own is None else ""
    aside = "; it is in maintenance mode" if value(facts, "vcenter_maintenance") == "yes" else ""
    if value(facts, "vcenter_connection") not in (None, "connected"):
        aside += f"; the vCenter says {value(facts, 'vcenter_connection')}"
    return good("ESV-2", f"{count:.0f} virtual machines run on it{by} and go down with it{aside}")


def proven(facts: Facts) -> Verdict | None:
    """EPR-1."""
    dumps = [line.split()[-1] for line in lines(facts, "cores") if "vmkernel-zdump" in line]
    if dumps:
        return good("EPR-1", f"{len(dumps)} in /var/core, such as {dumps[-1]}")
    if value(facts, "cores") is None and not is_absent(facts, "cores"):
        return unknown("EPR-1", facts, "cores")
    return Verdict("EPR-1", Level.OK, "no dump of it is known")


def option(facts: Facts, name: str) -> int | None:
    """The number of an advanced option, as `esxcli system settings advanced list -o` prints it."""
    text = setting(facts, name, "Int Value")
    return int(text) if text is not None and re.fullmatch(r"\d{1,9}", text) else None


def setting(facts: Facts, name: str, key: str) -> str | None:
    """The value behind `key:` in an answer of esxcli; None where it is not there or empty."""
    for line in lines(facts, name):
        found, colon, text = line.strip().partition(":")
        if colon and found == key:
            return text.strip() or None
    return None


def _nmi(check: str, facts: Facts, name: str, action: int | None) -> Verdict:
    if action in _PANICS:
        return good(check, f"the host {_PANICS[action]} on an NMI")
    if action in _NO_DUMP:
        text = f"the host {_NO_DUMP[action]} instead of writing a dump"
        return bad(check, text, Level.WARNING if action == _DEBUGGER else Level.CRITICAL)
    return unknown(check, facts, name)


def _free(facts: Facts, folder: str) -> int | None:
    """Bytes free on the volume that holds `folder`; its name may hold blanks, its sizes end the line."""
    for line in lines(facts, "filesystems"):
        words = line.split()
        sizes = words[-_COLUMNS_AFTER_NAME:]
        told = len(sizes) == _COLUMNS_AFTER_NAME and all(re.fullmatch(r"\d{1,18}", w) for w in sizes)
        if told and folder.startswith(f"{words[0]}/"):
            return int(sizes[1])
    return None
