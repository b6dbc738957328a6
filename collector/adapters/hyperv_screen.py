"""The thumbnail that Hyper-V takes of a machine's console, as a PNG."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRUECOLOUR, _EIGHT_BITS = 2, 8

_FIVE = bytes(value * 255 // 31 for value in range(32))
_SIX = bytes(value * 255 // 63 for value in range(64))


def png_of_rgb565(data: bytes, width: int, height: int) -> bytes:
    """Make a PNG (ISO/IEC 15948) of rows of 16-bit pixels, little endian: red 5, green 6, blue 5 bits.

    Hyper-V may append a few bytes to the picture; they are left out.

    Raises:
        ValueError: the size is none, or there are fewer pixels than it says.
    """
    if width <= 0 or height <= 0 or len(data) < width * height * 2:
        raise ValueError(f"{len(data)} bytes are no picture of {width} x {height} pixels")
    pixels = struct.unpack(f"<{width * height}H", data[: width * height * 2])
    colours = {pixel: _colour(pixel) for pixel in set(pixels)}
    rows = (
        b"\x00" + b"".join(colours[pixel] for pixel in pixels[start : start + width])  # filter type none
        for start in range(0, width * height, width)
    )
    header = struct.pack(">IIBBBBB", width, height, _EIGHT_BITS, _TRUECOLOUR, 0, 0, 0)
    body = zlib.compress(b"".join(rows))
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _colour(pixel: int) -> bytes:
    return bytes((_FIVE[pixel >> 11], _SIX[pixel >> 5 & 0x3F], _FIVE[pixel & 0x1F]))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
