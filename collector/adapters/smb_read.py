"""The one request that a copy makes thousands of times, packed by hand.

smbprotocol's structures take a quarter of a millisecond for it, and a dump of 100 GiB needs 100,000 of them.
Section numbers are of [MS-SMB2].
"""

from __future__ import annotations

import struct

from smbprotocol.header import Commands, Smb2Flags

_HEADER = struct.Struct("<4sHHIHHIIQIIQ16s")
"""Section 2.2.1.2: id, size, credits it costs, status, command, credits asked for, flags, next, message,
reserved, tree, session, signature."""

_READ = struct.Struct("<HBBIQ16sIIIHHB")
"""Section 2.2.19: size, padding, flags, length, offset, file, least, channel, remaining, channel's offset and
length, and one byte of the buffer that there always is."""

_PADDING = 0x50  # where in the answer the data is to be: behind its fixed part


def pack_read(
    *,
    number: int,
    session: int,
    tree: int,
    cost: int,
    dfs: bool,
    signed: bool,
    file: bytes,
    offset: int,
    length: int,
) -> bytearray:
    """A READ, with zeroes in place of its signature.

    Args:
        number: of the message.
        session: id of the session.
        tree: id of the tree connect.
        cost: credits that it costs; as many are asked for.
        dfs: whether the share is in a DFS.
        signed: whether it will be signed; what is encrypted is not (section 3.2.4.1.1).
        file: 16 bytes, the id of the open file.
        offset: first byte wanted.
        length: bytes wanted.
    """
    flags = (Smb2Flags.SMB2_FLAGS_SIGNED if signed else 0) | (
        Smb2Flags.SMB2_FLAGS_DFS_OPERATIONS if dfs else 0
    )
    header = _HEADER.pack(
        b"\xfeSMB", _HEADER.size, cost, 0, Commands.SMB2_READ, cost, flags, 0, number, 0, tree, session, b""
    )
    return bytearray(header + _READ.pack(_READ.size, _PADDING, 0, length, offset, file, 0, 0, 0, 0, 0, 0))
