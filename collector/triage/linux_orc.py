"""Stacks of an x86-64 kernel, unwound by the ORC tables in its memory (CONFIG_UNWINDER_ORC).

Source: Linux arch/x86/kernel/unwind_orc.c, arch/x86/include/asm/orc_types.h and asm/ptrace.h.
The kernel's BTF says how wide the fields of an entry are, which changed in 6.3 and 6.4.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from collector.errors import DumpError
from collector.triage.linux_btf import Btf, Field
from collector.triage.linux_kernel import Kernel, modules
from collector.triage.linux_memory import ADDRESS_MASK, Memory, damaged, number

_ENTRY_BYTES = 6
_MOST_ENTRIES = 1 << 22
_DEEPEST = 256

_REGS_BYTES = {"bp": 32, "ip": 128, "cs": 136, "flags": 144, "sp": 152}  # struct pt_regs
_REGS_SIZE = 168
_IP_IN_REGS = _REGS_BYTES["ip"]
_USER_MODE = 3  # the ring, in the low bits of the code segment
_INTERRUPTS_ON = 1 << 9  # the IF bit of the flags
_NEW_TYPE_BITS = 3  # since 6.4: undefined 0, end of stack 1, call 2, registers 3, partial registers 4

_PREVIOUS_SP, _BP, _SP, _BP_INDIRECT, _SP_INDIRECT = 1, 4, 5, 8, 9
_OTHER_REGISTERS = {2: 96, 3: 112, 6: 56, 7: 16}  # ORC's dx, di, r10, r13: their place in struct pt_regs


@dataclass(frozen=True, slots=True)
class Registers:
    """Where a stack is unwound from.

    Args:
        at: address of the `struct pt_regs` they are from; 0 where there is none.
        exact: ip is the instruction itself, not the one that a call returns to.
        user_mode: they are of a program.
        interrupts_on: in what was interrupted; None where that is not known.
    """

    ip: int
    sp: int
    bp: int
    at: int = 0
    exact: bool = False
    user_mode: bool = False
    interrupts_on: bool | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """How to get from a function to its caller; `type` in the numbering of 6.4 and later."""

    sp_offset: int
    bp_offset: int
    sp_reg: int
    bp_reg: int
    type: int


_UNDEFINED, _END, _CALL, _REGS, _REGS_PARTIAL = range(5)


class Rules(Protocol):
    """The unwinding rules of a kernel and its modules."""

    def at(self, address: int) -> Rule | None:
        """Return the rule for an instruction; None where there is none."""
        ...


class OrcTable:
    """Rules from one pair of tables: where each starts, relative to itself, and what it is.

    Args:
        place: address of the first table.
        starts: its bytes, a signed 32-bit number an entry.
        rules: the bytes of the other, six an entry.
        layout: how an entry is laid out.
    """

    def __init__(self, place: int, starts: bytes, rules: bytes, layout: Layout) -> None:
        offsets = struct.unpack(f"<{len(starts) // 4}i", starts)
        self._starts = [place + 4 * index + offset & ADDRESS_MASK for index, offset in enumerate(offsets)]
        if not self._starts or any(first > second for first, second in pairwise(self._starts)):
            raise damaged("the ORC table is empty or not in order")
        if len(rules) != len(self._starts) * _ENTRY_BYTES:
            raise damaged("the two ORC tables differ in length")
        self._rules = rules
        self._layout = layout

    @property
    def range(self) -> tuple[int, int]:
        """The first and the last address with a rule of its own."""
        return self._starts[0], self._starts[-1]

    def at(self, address: int) -> Rule | None:
        """Return the rule for an instruction; None before the first."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        return self._layout.rule(self._rules[index * _ENTRY_BYTES : (index + 1) * _ENTRY_BYTES])


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of an ORC entry are, as this kernel's BTF says."""

    sp_reg: Field
    bp_reg: Field
    type: Field
    end: Field | None

    @classmethod
    def of(cls, btf: Btf) -> Layout:
        """Read the layout. Raises DumpError when the kernel has no ORC."""
        kind = btf.field("orc_entry", "type")
        end = btf.field("orc_entry", "end") if kind.bits < _NEW_TYPE_BITS else None
        return cls(btf.field("orc_entry", "sp_reg"), btf.field("orc_entry", "bp_reg"), kind, end)

    def rule(self, entry: bytes) -> Rule:
        """Decode an entry of six bytes."""
        sp_offset, bp_offset = struct.unpack_from("<hh", entry)
        kind, sp_reg = self.type.of(entry), self.sp_reg.of(entry)
        if self.end:  # before 6.4: call 0, registers 1, partial registers 2, and a bit for the end
            ends = self.end.of(entry) or not sp_reg
            kind = _END if ends else kind + _CALL
        return Rule(sp_offset, bp_offset, sp_reg, self.bp_reg.of(entry), kind)


class OrcRules:
    """The rules of the kernel proper and of every module that has some."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        layout = Layout.of(kernel.btf)
        place, stop, rules = (
            kernel.symbols.address(name)
            for name in ("__start_orc_unwind_ip", "__stop_orc_unwind_ip", "__start_orc_unwind")
        )
        self._core = _table(kernel.memory, place, (stop - place) // 4, rules, layout)
        self._modules: dict[str, OrcTable] = {}
        for module in modules(kernel):
            count = kernel.value(module, "module", "arch.num_orcs")
            if count:
                place = kernel.value(module, "module", "arch.orc_unwind_ip")
                rules = kernel.value(module, "module", "arch.orc_unwind")
                name = kernel.string(module, "module", "name")
                self._modules[name] = _table(kernel.memory, place, count, rules, layout)

    def at(self, address: int) -> Rule | None:
        """Return the rule for an instruction; None where there is none."""
        symbol = self._kernel.symbols.at(address)
        if symbol is None:
            return None
        table = self._modules.get(symbol.module) if symbol.module else self._core
        return table.at(address) if table else None


def _table(memory: Memory, place: int, count: int, rules: int, layout: Layout) -> OrcTable:
    if not 0 < count <= _MOST_ENTRIES:
        raise damaged(f"{count} ORC entries")
    return OrcTable(place, memory.read(place, 4 * count), memory.read(rules, _ENTRY_BYTES * count), layout)


def registers_at(memory: Memory, place: int) -> Registers:
    """Read a `struct pt_regs`. Raises: DumpError."""
    raw = memory.read(place & ADDRESS_MASK, _REGS_SIZE)
    value = {name: int.from_bytes(raw[at : at + 8], "little") for name, at in _REGS_BYTES.items()}
    user_mode = value["cs"] & _USER_MODE == _USER_MODE
    return Registers(
        value["ip"],
        value["sp"],
        value["bp"],
        place,
        exact=True,
        user_mode=user_mode,
        interrupts_on=bool(value["flags"] & _INTERRUPTS_ON),
    )


def unwind(memory: Memory, rules: Rules, start: Registers) -> Iterator[Registers]:
    """Yield the registers in each function from the innermost to the outermost.

    A stack that cannot be followed further ends there. A program is not unwound: its registers are the last.
    """
    state, lowest = start, 0
    for _ in range(_DEEPEST):
        yield state
        if state.user_mode:
            return
        try:
            caller = _caller(memory, rules.at(state.ip if state.exact else state.ip - 1), state)
        except DumpError:
            return  # the page is not in the dump: what was found so far is still true
        # Each stack grows down, so a caller lies higher; only an exception may come from another stack.
        if caller is None or not caller.ip or (not caller.exact and caller.sp <= lowest):
            return
        lowest = 0 if caller.exact else caller.sp
        state = caller


def _caller(memory: Memory, rule: Rule | None, state: Registers) -> Registers | None:
    if rule is None or rule.type in {_UNDEFINED, _END}:
        return None
    sp = _stack_pointer(memory, rule, state)
    if sp is None:
        return None
    if rule.type == _CALL:
        return Registers(number(memory, sp - 8), sp, _base_pointer(memory, rule, state, sp), state.at)
    if rule.type == _REGS:
        return registers_at(memory, sp)
    if rule.type == _REGS_PARTIAL:
        found = registers_at(memory, sp - _IP_IN_REGS)  # only ip, cs, flags and sp are there
        return replace(found, bp=_base_pointer(memory, rule, state, sp), at=0)
    return None


def _stack_pointer(memory: Memory, rule: Rule, state: Registers) -> int | None:
    """Return the value that the stack pointer had before the call."""
    if rule.sp_reg == _SP:
        return state.sp + rule.sp_offset
    if rule.sp_reg == _BP:
        return state.bp + rule.sp_offset
    if rule.sp_reg == _SP_INDIRECT:
        return number(memory, state.sp) + rule.sp_offset
    if rule.sp_reg == _BP_INDIRECT:
        return number(memory, state.bp + rule.sp_offset)
    if rule.sp_reg in _OTHER_REGISTERS and state.at:
        return number(memory, state.at + _OTHER_REGISTERS[rule.sp_reg])
    return None


def _base_pointer(memory: Memory, rule: Rule, state: Registers, sp: int) -> int:
    if rule.bp_reg == _PREVIOUS_SP:
        return number(memory, sp + rule.bp_offset)
    if rule.bp_reg == _BP:
        return number(memory, state.bp + rule.bp_offset)
    return state.bp
