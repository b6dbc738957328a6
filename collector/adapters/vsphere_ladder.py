"""The ways to send an NMI to a virtual machine, one after the other, and at most one NMI.

Real servers answer `SendNMI` with "not implemented", so there is more than one way. The next rung is tried
only after the server proved that the one before does not exist there. A refusal for any other reason, such as
no permission or powered off, ends it: another door would only go around that reason. So does whatever
leaves open if the NMI went out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyVmomi import vim, vmodl

from collector.adapters.answers import NmiAnswer, NmiOutcome
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_faults import REFUSED, UNSUPPORTED, words
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import AdapterError


@dataclass(frozen=True, slots=True)
class Tried:
    """What one rung came to; `unsupported` means that nothing was sent because this way does not exist."""

    answer: NmiAnswer
    unsupported: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """One way: what a person calls it, and how it is tried. `send` raises nothing for what a peer did."""

    name: str
    send: Callable[[Deadline], Tried]


def climb(rungs: Sequence[Rung], deadline: Deadline) -> NmiAnswer:
    """Try the rungs in order, as long as each proves that it does not exist."""
    refusals: list[str] = []
    for rung in rungs:
        if deadline.expired:
            refusals.append("the time was up")
            break
        tried = rung.send(deadline)
        detail = f"{rung.name}: {tried.answer.detail}"
        if tried.answer.outcome is not NmiOutcome.NOT_SENT or not tried.unsupported:
            return NmiAnswer(tried.answer.outcome, "; ".join([*refusals, detail]))
        refusals.append(detail)
    return NmiAnswer(NmiOutcome.NOT_SENT, "; ".join(refusals) or "there is no way to send one")


def send_nmi_method(session: VsphereSession, vm: str) -> Rung:
    """The API's own method (since 6.0): synchronous, and without a result.

    Args:
        session: logged in.
        vm: the managed object id of the virtual machine.
    """
    return Rung("SendNMI", lambda deadline: _send(session, vm, deadline))


def _send(session: VsphereSession, vm: str, deadline: Deadline) -> Tried:
    asked = False
    try:
        with session.alone(deadline) as stub:
            asked = True
            vim.VirtualMachine(vm, stub).SendNMI()
    except vmodl.MethodFault as fault:
        return judge(fault)
    except AdapterError as error:
        if not asked:
            return Tried(NmiAnswer(NmiOutcome.NOT_SENT, f"nothing was put on the wire: {error.message}"))
        return Tried(NmiAnswer(NmiOutcome.UNCERTAIN, f"the request may be out, and then {error.message}"))
    return Tried(NmiAnswer(NmiOutcome.SENT, f"{session.where} sent the NMI"))


def judge(fault: vmodl.MethodFault) -> Tried:
    """What a fault proves of the NMI."""
    outcome = NmiOutcome.NOT_SENT if isinstance(fault, REFUSED) else NmiOutcome.UNCERTAIN
    return Tried(NmiAnswer(outcome, words(fault)), unsupported=isinstance(fault, UNSUPPORTED))
