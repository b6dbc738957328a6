"""Kernel memory in a dump, by virtual address. What is read here is hostile until it is checked."""

from __future__ import annotations

from typing import Protocol

from collector.errors import DumpError

ADDRESS_MASK = (1 << 64) - 1

_LARGEST_NUMBER = 1024  # bytes: a mask of 8192 CPUs


class Memory(Protocol):
    """The memory of a little-endian 64-bit kernel."""

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes. Raises DumpError when one of them is not in the dump."""
        ...


def number(memory: Memory, address: int, size: int = 8, *, signed: bool = False) -> int:
    """Return the integer of `size` bytes at `address`. Raises: DumpError."""
    if size > _LARGEST_NUMBER:
        raise damaged(f"a number of {size} bytes")
    return int.from_bytes(memory.read(address & ADDRESS_MASK, size), "little", signed=signed)


def text(raw: bytes) -> str:
    """Return the text before the first NUL, its control characters escaped."""
    decoded = raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in decoded)


def damaged(what: str) -> DumpError:
    """Return the error for kernel data that contradicts itself."""
    return DumpError(
        f"the kernel's data in the dump is damaged: {what}",
        hint="Fetch the dump again and compare its checksum with the host's copy.",
    )
