"""The kernel's types, from the BTF that it carries in its own memory (CONFIG_DEBUG_INFO_BTF).

Source: Linux Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from collector.errors import DumpError
from collector.triage.linux_memory import damaged

_HEADER = struct.Struct("<HBBIIIII")  # magic, version, flags, hdr_len, type_off, type_len, str_off, str_len
_MAGIC = 0xEB9F
_TYPE = struct.Struct("<III")  # name_off, info, size or type
_ARRAY = _MEMBER = struct.Struct("<III")  # type, index type, length; name_off, type, offset in bits
_POINTER_BYTES = 8
_DEEPEST = 32  # of typedefs and nested structs: more is a circle


class _Kind(IntEnum):
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


_EXTRA_BYTES = {_Kind.INT: 4, _Kind.ARRAY: 12, _Kind.VAR: 4, _Kind.DECL_TAG: 4}
_EXTRA_BYTES_EACH = {
    _Kind.STRUCT: 12,
    _Kind.UNION: 12,
    _Kind.ENUM: 8,
    _Kind.FUNC_PROTO: 8,
    _Kind.DATASEC: 12,
    _Kind.ENUM64: 12,
}
_NAMES_FOR_ANOTHER = (_Kind.TYPEDEF, _Kind.VOLATILE, _Kind.CONST, _Kind.RESTRICT, _Kind.TYPE_TAG)


@dataclass(frozen=True, slots=True)
class Field:
    """Where a member lies in its structure: in bytes, and in bits for a bit-field (else `bits` is 0)."""

    offset: int
    size: int
    type: int
    bit: int = 0
    bits: int = 0

    def of(self, raw: bytes) -> int:
        """Return the member's unsigned value from the bytes of the structure."""
        if not self.bits:
            return int.from_bytes(raw[self.offset : self.offset + self.size], "little")
        return int.from_bytes(raw, "little") >> self.bit & (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class _Type:
    at: int  # where what follows the three common words starts
    name: int
    kind: int
    count: int
    bit_fields: bool
    size_or_type: int


class Btf:
    """The types of one kernel.

    Raises:
        DumpError: on creation, when the bytes are no BTF.
    """

    def __init__(self, raw: bytes) -> None:
        if len(raw) < _HEADER.size:
            raise damaged("the BTF ends inside its header")
        magic, _, _, header_bytes, type_at, type_bytes, text_at, text_bytes = _HEADER.unpack_from(raw)
        if magic != _MAGIC:
            raise damaged(f"the BTF starts with {magic:#x}")
        self._types = raw[header_bytes + type_at :][:type_bytes]
        self._text = raw[header_bytes + text_at :][:text_bytes]
        self._places, self._named = self._index()

    def _index(self) -> tuple[array[int], dict[tuple[int, int], int]]:
        """Find where each type starts, and the structures and enumerations by the place of their name."""
        places, at, size = array("I", [0]), 0, len(self._types)
        named: dict[tuple[int, int], int] = {}
        while at + _TYPE.size <= size:
            name, info, _ = _TYPE.unpack_from(self._types, at)
            kind = info >> 24 & 0x1F
            if kind in {_Kind.STRUCT, _Kind.UNION, _Kind.ENUM, _Kind.ENUM64}:
                named.setdefault((name, kind), len(places))
            places.append(at)
            at += _TYPE.size + _EXTRA_BYTES.get(kind, 0) + _EXTRA_BYTES_EACH.get(kind, 0) * (info & 0xFFFF)
        return places, named

    def size(self, name: str) -> int:
        """Return the bytes of a structure. Raises DumpError when the kernel has none of that name."""
        return self._type(self._find(name, _Kind.STRUCT)).size_or_type

    def field(self, structure: str, *paths: str) -> Field:
        """Return where the first of the paths that exists lies, such as `thread.sp`.

        Several paths name the same thing as kernels of different age call it.

        Raises:
            DumpError: the kernel has no such structure, or none of the members.
        """
        outer = self._find(structure, _Kind.STRUCT)
        for path in paths:
            found: Field | None = Field(0, 0, outer)
            for name in path.split("."):
                found = self._member(found, name) if found else None
            if found:
                return found
        raise DumpError(
            f"the kernel's struct {structure} has no {' or '.join(paths)}",
            hint="This kernel is older or newer than those the triage knows; analyse it with its vmlinux.",
        )

    def constant(self, enumeration: str, name: str) -> int:
        """Return a value of an enumeration. Raises DumpError when the kernel has none of that name."""
        kind = self._type(self._find(enumeration, _Kind.ENUM))
        end = kind.at + 8 * kind.count
        pairs = struct.iter_unpack("<II", self._types[kind.at : end][: (end - kind.at) // 8 * 8])
        for name_at, value in pairs:
            if self._string(name_at) == name:
                return int(value)
        raise damaged(f"enum {enumeration} has no {name}")

    def _find(self, name: str, kind: _Kind) -> int:
        start = self._text.find(b"\0" + name.encode() + b"\0") + 1
        found = self._named.get((start, kind)) if start else None
        if found is None:
            raise DumpError(
                f"the kernel's BTF has no {kind.name.lower()} {name}",
                hint="The kernel was built without that feature, or is one the triage does not know.",
            )
        return found

    def _type(self, number: int) -> _Type:
        if not 0 < number < len(self._places):
            raise damaged(f"BTF type {number} of {len(self._places) - 1}")
        at = self._places[number]
        name, info, size_or_type = _TYPE.unpack_from(self._types, at)
        bit_fields = bool(info >> 31)
        return _Type(at + _TYPE.size, name, info >> 24 & 0x1F, info & 0xFFFF, bit_fields, size_or_type)

    def _resolve(self, number: int) -> int:
        """Follow typedefs and qualifiers."""
        for _ in range(_DEEPEST):
            kind = self._type(number)
            if kind.kind not in _NAMES_FOR_ANOTHER:
                return number
            number = kind.size_or_type
        raise damaged("a BTF type that leads to itself")

    def _bytes(self, number: int) -> int:
        factor = 1
        for _ in range(_DEEPEST):
            kind = self._type(self._resolve(number))
            if kind.kind == _Kind.PTR:
                return factor * _POINTER_BYTES
            if kind.kind != _Kind.ARRAY:
                return factor * kind.size_or_type
            number, _, length = self._unpack(_ARRAY, kind.at)
            factor *= length
        raise damaged("a BTF array that leads to itself")

    def _member(self, outer: Field, name: str, depth: int = 0) -> Field | None:
        """Return a member of a structure, also one inside its unnamed structures and unions."""
        if depth > _DEEPEST:
            raise damaged("BTF structures that lead to themselves")
        for name_at, number, offset, bits in self._members(outer.type):
            place = outer.offset * 8 + offset
            inner = Field(place // 8, 0, self._resolve(number), place, bits)
            if not name_at:
                kind = self._type(inner.type).kind
                found = None
                if kind in {_Kind.STRUCT, _Kind.UNION}:
                    found = self._member(replace(inner, bit=0), name, depth + 1)
                if found:
                    return found
            elif self._string(name_at) == name:
                return replace(inner, size=self._bytes(inner.type))
        return None

    def _members(self, number: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield name, type, offset in bits, and the bits of a bit-field of each member."""
        outer = self._type(number)
        if outer.kind not in {_Kind.STRUCT, _Kind.UNION}:
            return
        for index in range(outer.count):
            name, kind, offset = self._unpack(_MEMBER, outer.at + index * _MEMBER.size)
            if outer.bit_fields:
                yield name, kind, offset & 0xFFFFFF, offset >> 24
            else:
                yield name, kind, offset, 0

    def _unpack(self, layout: struct.Struct, at: int) -> tuple[int, int, int]:
        if at + layout.size > len(self._types):
            raise damaged("the BTF ends inside a type")
        first, second, third = layout.unpack_from(self._types, at)
        return first, second, third

    def _string(self, at: int) -> str:
        end = self._text.find(b"\0", at)
        return self._text[at:end].decode("ascii", "backslashreplace")
