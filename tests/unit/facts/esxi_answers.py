"""What `esxcli` prints on a healthy host, in the form that its reference gives."""

from __future__ import annotations


def option(path: str, number: int) -> str:
    return (
        f"   Path: {path}\n   Type: integer\n   Int Value: {number}\n   Default Int Value: 0\n"
        "   Min Value: 0\n   Max Value: 65535\n   String Value:\n   Description: text with a colon: and more"
    )


def kernel(number: int) -> str:
    return (
        "Name       Type    Configured  Runtime  Default  Description\n"
        "---------  ------  ----------  -------  -------  -----------\n"
        f"nmiAction  uint32  0           {number}        0        Action on NMI"
    )


HEALTHY = {
    "version": "VMware ESXi 8.0.2 build-22380479",
    "hostname": "esx03.example.com",
    "uptime": "86400",
    "clock": "1795230765",
    "dump_slot": "none",
    "coredump_partition": "   Active:\n   Configured:",
    "coredump_file": "   Active: /vmfs/volumes/5f3c-1/vmkdump/4C4C.dumpfile\n   Configured: /vmfs/x",
    "coredump_files": "Path Active Configured Size",
    "coredump_network": "   Enabled: false\n   Host VNic:\n   Network Server IP:\n   Network Server Port: 0",
    "nmi_lint": option("/Misc/NMILint1IntAction", 0),
    "nmi_action": kernel(0),
    "minimal_panic": option("/Misc/MinimalPanic", 0),
    "blue_screen_timeout": option("/Misc/BlueScreenTimeout", 0),
    "suppress_coredump_warning": option("/UserVars/SuppressCoredumpWarning", 0),
    "memory": "   Physical Memory: 549755813888 Bytes\n   NUMA Node Count: 2",
    "filesystems": (
        "Mount Point             Volume Name  UUID    Mounted  Type      Size         Free\n"
        "----------------------  -----------  ------  -------  ------  ---------  ---------\n"
        "/vmfs/volumes/5f3c-1    big ds (2)   5f3c-1     true  VMFS-6  500000000000  120000000000\n"
        "/vmfs/volumes/5f3c-12   other        5f3c-12    true  VMFS-6  500000000000  1000"
    ),
    "core_folder": "/vmfs/volumes/5f3c-1/core",
    "cores": "total 8\n-rw-------    1 root     root     90000000 Nov 20 03:12 vmkernel-zdump.1",
    "machines": "12",
    "end": "1",
}


def answer(**changes: str) -> bytes:
    """The script's output; a value that begins with `!` is a reason why there is none."""
    lines = []
    for name, text in {**HEALTHY, **changes}.items():
        if text.startswith("!"):
            lines.append(f"{name}{text}")
        else:
            lines += [f"{name}={line}" for line in text.split("\n")]
    return ("\n".join(lines) + "\n").encode()
