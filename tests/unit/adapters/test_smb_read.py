"""The READ that is packed by hand, against smbprotocol's own packing of it."""

from __future__ import annotations

import pytest
from smbprotocol.header import Commands, Smb2Flags, SMB2HeaderRequest
from smbprotocol.open import SMB2ReadRequest

from collector.adapters.smb_read import pack_read

FILE = bytes(range(1, 17))


def packed_by_smbprotocol(offset: int, length: int, flags: int) -> bytes:
    read = SMB2ReadRequest()
    read["padding"] = b"\x50"
    read["length"], read["offset"], read["file_id"] = length, offset, FILE
    header = SMB2HeaderRequest()
    header["command"] = Commands.SMB2_READ
    header["credit_charge"] = header["credit_request"] = 16
    header["message_id"], header["tree_id"], header["session_id"] = 99, 7, 0x1122334455667788
    header["flags"] = flags
    header["data"] = read.pack()
    return bytes(header.pack())


@pytest.mark.parametrize(
    ("dfs", "signed", "flags"),
    [
        (False, True, Smb2Flags.SMB2_FLAGS_SIGNED),
        (False, False, 0),
        (True, True, Smb2Flags.SMB2_FLAGS_SIGNED | Smb2Flags.SMB2_FLAGS_DFS_OPERATIONS),
    ],
)
@pytest.mark.parametrize("offset", [0, 5 << 20, 1 << 40])
def test_it_is_what_smbprotocol_packs(*, dfs: bool, signed: bool, flags: int, offset: int) -> None:
    ours = pack_read(
        number=99,
        session=0x1122334455667788,
        tree=7,
        cost=16,
        dfs=dfs,
        signed=signed,
        file=FILE,
        offset=offset,
        length=1 << 20,
    )
    assert bytes(ours) == packed_by_smbprotocol(offset, 1 << 20, flags)
