"""How the pages of a dump are unpacked. No method returns more than a page, whatever it is given.

Sources: RFC 1950 for zlib, which the standard library reads; Linux Documentation/staging/lzo.rst for LZO1X;
snappy/format_description.txt for Snappy; RFC 8878 for zstd, which the standard library reads from Python 3.14
on, and its backport, the extra `dump`, before.
"""

from __future__ import annotations

import contextlib
import importlib
import zlib
from collections.abc import Callable, Mapping
from types import ModuleType

from collector.errors import DumpError

ZLIB, LZO, SNAPPY, ZSTD = 0x1, 0x2, 0x4, 0x20
"""Flags of a page: DUMP_DH_COMPRESSED_* in diskdump_mod.h. A page with none of them is stored as it is."""


def unpack(flags: int, packed: bytes, size: int) -> bytes:
    """Return the page of `size` bytes.

    Raises:
        DumpError: the page is damaged, or packed in a way that cannot be read here.
    """
    method = next((unpacker for flag, unpacker in _METHODS.items() if flags & flag), None)
    try:
        page = method(packed, size) if method else packed
    except (IndexError, ValueError, zlib.error) as error:
        raise _damaged(str(error)) from error
    if len(page) != size:
        raise _damaged(f"it has {len(page)} bytes")
    return page


def _zlib(packed: bytes, limit: int) -> bytes:
    return zlib.decompressobj().decompress(packed, limit)


def _zstd(packed: bytes, limit: int) -> bytes:
    zstd = _zstd_module()
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    try:
        return bytes(zstd.ZstdDecompressor(options=options).decompress(packed, limit))
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error


_ZSTD_MODULES = ("compression.zstd", "backports.zstd")
_ZSTD_WINDOW = 20
"""A frame may ask for memory of two to this power: 1 MiB, as large as any page. The default is 128 MiB."""


def _zstd_module() -> ModuleType:
    for name in _ZSTD_MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    raise DumpError(
        "the dump's pages are packed with zstd, which this Python cannot read without an extra package",
        hint="pip install 'hang-collector[dump]'",
    )


def _lzo(packed: bytes, limit: int) -> bytes:
    """Unpack LZO1X. Raises IndexError or ValueError for what is none, or longer than `limit`."""
    out = bytearray()
    at = literals = 0  # how many literals the last instruction copied: 0 to 3, or 4 for a long run
    if packed[0] > _LZO_FIRST:
        at, count = 1, packed[0] - _LZO_FIRST
        out += packed[1 : 1 + count]
        at, literals = 1 + count, min(count, _LONG_RUN)
    while len(out) <= limit:
        code = packed[at]
        if code < _LZO_RUN and not literals:
            count, at = _lzo_length(packed, at + 1, code, _LZO_RUN - 1)
            count += 3
            out += packed[at : at + count]
            at, literals = at + count, _LONG_RUN
            continue
        length, distance, literals, at = _lzo_match(packed, at + 1, code, literals)
        if distance == _LZO_END:
            return bytes(out)
        _repeat(out, distance, length, limit)
        out += packed[at : at + literals]
        at += literals
    raise ValueError("it is longer than a page")


_LZO_FIRST, _LZO_RUN, _LZO_FAR, _LZO_NEAR, _LZO_SHORT = 17, 16, 16, 32, 64  # by the first byte's range
_LONG_RUN = 4
_LZO_END = 0x4000


def _lzo_match(packed: bytes, at: int, code: int, before: int) -> tuple[int, int, int, int]:
    """Return length and distance of a match, the number of literals after it, and where they begin."""
    if code >= _LZO_SHORT:
        length = (code >> 5) + 1
        return length, (packed[at] << 3) + (code >> 2 & 7) + 1, code & 3, at + 1
    if code >= _LZO_FAR:
        near = code >= _LZO_NEAR
        bits = 31 if near else 7
        length, at = _lzo_length(packed, at, code & bits, bits)
        word = packed[at] | packed[at + 1] << 8
        distance = (word >> 2) + 1 if near else _LZO_END + ((code & 8) << 11) + (word >> 2)
        return length + 2, distance, word & 3, at + 2
    distance = (packed[at] << 2) + (code >> 2)
    if before == _LONG_RUN:
        return 3, distance + 2049, code & 3, at + 1
    return 2, distance + 1, code & 3, at + 1


def _lzo_length(packed: bytes, at: int, value: int, base: int) -> tuple[int, int]:
    """Return a length that, when its field is zero, goes on in the bytes that follow."""
    if value:
        return value, at
    length = base
    while not packed[at]:
        length += 255
        at += 1
    return length + packed[at], at + 1


def _snappy(packed: bytes, limit: int) -> bytes:
    """Unpack Snappy. Raises IndexError or ValueError for what is none, or longer than `limit`."""
    out, at = bytearray(), 0
    while packed[at] & 0x80:  # the unpacked length, which the caller knows
        at += 1
    at += 1
    while at < len(packed) and len(out) <= limit:
        code, kind = packed[at] >> 2, packed[at] & 3
        at += 1
        if kind == 0:
            wide = max(0, code - 59)  # 60 to 63: the length is in the next one to four bytes
            count = 1 + (int.from_bytes(packed[at : at + wide], "little") if wide else code)
            at += wide
            out += packed[at : at + count]
            at += count
            continue
        if kind == 1:
            length, distance, wide = 4 + (code & 7), (code >> 3 << 8) + packed[at], 1
        else:
            wide = 2 if kind == 2 else 4  # noqa: PLR2004 - the format's two kinds of far copies
            length, distance = code + 1, int.from_bytes(packed[at : at + wide], "little")
        at += wide
        _repeat(out, distance, length, limit)
    return bytes(out)


def _repeat(out: bytearray, distance: int, length: int, limit: int) -> None:
    """Append `length` bytes from `distance` bytes before the end; they may overlap with what they make."""
    start = len(out) - distance
    if not distance or start < 0 or len(out) + length > limit:
        raise ValueError("it points out of the page")
    for place in range(start, start + length):
        out.append(out[place])


_METHODS: Mapping[int, Callable[[bytes, int], bytes]] = {ZLIB: _zlib, LZO: _lzo, SNAPPY: _snappy, ZSTD: _zstd}


def _damaged(what: str) -> DumpError:
    return DumpError(
        f"a page of the dump is damaged: {what}",
        hint="Compare the dump's checksum with that of the host's copy.",
    )
