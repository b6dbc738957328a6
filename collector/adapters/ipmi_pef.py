"""Platform Event Filtering: what the BMC does by itself when it logs the NMI that we send.

Section and table numbers are of the IPMI 2.0 specification, revision 1.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.adapters.ipmi_codes import require
from collector.adapters.ipmi_sel import CRITICAL_INTERRUPT, SENSOR_SPECIFIC, Ask
from collector.errors import UnsupportedError

_SENSOR_EVENT, _GET_PEF_CONFIGURATION = 0x04, 0x13  # section 30.4
_CONTROL, _ACTIONS, _FILTER_COUNT, _FILTER = 1, 2, 5, 6  # parameters, table 30-6
_ENABLED = 0x01  # of parameter 1
_FILTER_ENABLED = 0x80  # of a filter's first byte, table 17-2
_ANY = 0xFF
_NMI = 0x01  # offset 0 of the type Critical Interrupt, table 42-3
_HARMFUL = {0x02: "power off", 0x04: "reset", 0x08: "power cycle", 0x20: "another NMI"}
"""Actions that would end the dump, as bits of parameter 2 and of a filter's second byte."""

_FILTER_BYTES = 21  # its number, and the 20 bytes of table 17-2


def read_nmi_reactions(ask: Ask) -> Sequence[str]:
    """What the BMC is set to do when it logs an NMI, of that which would end the dump; none is best.

    A BMC that does not know the question filters no events.

    Raises:
        AdapterError: it does not say.
    """
    try:
        on = _parameter(ask, _CONTROL)[0] & _ENABLED
    except UnsupportedError:
        return ()
    if not on:
        return ()
    allowed = _parameter(ask, _ACTIONS)[0]
    actions = 0
    for number in range(1, (_parameter(ask, _FILTER_COUNT)[0] & 0x7F) + 1):
        actions |= _actions_on_nmi(_parameter(ask, _FILTER, number, size=_FILTER_BYTES))
    return [name for bit, name in _HARMFUL.items() if actions & allowed & bit]


def _actions_on_nmi(entry: bytes) -> int:
    """The actions of one filter if it is on and an NMI passes it, else none."""
    enabled, actions = entry[1], entry[2]
    sensor_type, trigger, offsets = entry[7], entry[9], entry[10]
    matches = (
        enabled & _FILTER_ENABLED
        and sensor_type in (CRITICAL_INTERRUPT, _ANY)
        and trigger in (SENSOR_SPECIFIC, _ANY)
        and offsets & _NMI
    )
    return actions if matches else 0


def _parameter(ask: Ask, selector: int, number: int = 0, *, size: int = 1) -> bytes:
    """The data of one parameter, without the revision that comes before it."""
    reply = ask(_SENSOR_EVENT, _GET_PEF_CONFIGURATION, bytes([selector, number, 0]))
    return require(reply, "say what it does by itself on an event", 1 + size)[1:]
