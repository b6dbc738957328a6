from __future__ import annotations

import struct
import zlib

import pytest

from collector.adapters.hyperv_screen import png_of_rgb565


def read_png(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """The header's fields and the rows, by the standard; every checksum is verified."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + size)
        assert zlib.crc32(kind + body) == checksum
        chunks.append((kind, body))
        at += size + 12
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    return struct.unpack(">IIBBBBB", chunks[0][1]), zlib.decompress(chunks[1][1])


def test_each_pixel_keeps_its_colour() -> None:
    pixels = struct.pack("<6H", 0xF800, 0x07E0, 0x001F, 0xFFFF, 0x0000, 0x8410)
    header, rows = read_png(png_of_rgb565(pixels, 3, 2))
    assert header == (3, 2, 8, 2, 0, 0, 0)
    assert rows == (
        b"\x00" + bytes([255, 0, 0]) + bytes([0, 255, 0]) + bytes([0, 0, 255])
        + b"\x00" + bytes([255, 255, 255]) + bytes([0, 0, 0]) + bytes([131, 129, 131])
    )  # fmt: skip


def test_what_follows_the_picture_is_left_out() -> None:
    assert png_of_rgb565(bytes(2 * 2 * 2) + b"more", 2, 2) == png_of_rgb565(bytes(2 * 2 * 2), 2, 2)


@pytest.mark.parametrize(
    ("size", "width", "height"), [(7, 2, 2), (0, 1, 1), (8, 0, 2), (8, 2, 0), (8, -2, -2)]
)
def test_a_picture_that_is_too_small_is_refused(size: int, width: int, height: int) -> None:
    with pytest.raises(ValueError, match="no picture"):
        png_of_rgb565(bytes(size), width, height)
