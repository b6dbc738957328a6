"""What a completion code means, and which of them prove that nothing was done.

Codes and their meanings: IPMI 2.0 specification, revision 1.1, table 5-2.
"""

from __future__ import annotations

from collector.adapters.answers import NmiAnswer, NmiOutcome
from collector.adapters.ipmi_session import Reply
from collector.errors import ForbiddenError, PeerFailedError, UnsupportedError

COMPLETED = 0x00
INVALID_COMMAND = 0xC1
NOT_PRESENT = 0xCB
NO_PRIVILEGE = 0xD4

_MEANINGS = {
    0xC0: "node busy",
    INVALID_COMMAND: "invalid command",
    0xC2: "invalid command for this LUN",
    0xC3: "timeout while processing the command",
    0xC4: "out of space",
    0xC5: "reservation cancelled or invalid",
    0xC6: "request data truncated",
    0xC7: "request data length invalid",
    0xC8: "request data field length limit exceeded",
    0xC9: "parameter out of range",
    0xCA: "cannot return that many bytes",
    NOT_PRESENT: "sensor, data or record not present",
    0xCC: "invalid data field in request",
    0xCD: "command illegal for this sensor or record type",
    0xCE: "response could not be provided",
    0xCF: "cannot execute a duplicated request",
    0xD0: "SDR repository in update mode",
    0xD1: "device in firmware update mode",
    0xD2: "BMC initialization in progress",
    0xD3: "destination unavailable",
    NO_PRIVILEGE: "insufficient privilege",
    0xD5: "not supported in present state",
    0xD6: "sub-function disabled or unavailable",
    0xFF: "unspecified error",
}

_REFUSED_UNREAD = frozenset(
    {INVALID_COMMAND, 0xC2, 0xC6, 0xC7, 0xC8, 0xC9, 0xCC, 0xCD, NO_PRIVILEGE, 0xD5, 0xD6}
)
"""Codes that judge the request itself: its command, its fields, its sender's rights, the machine's state.

A BMC gives them instead of acting. All others leave it open. Timeout (C3h), no response (CEh), duplicate
(CFh) and unspecified (FFh) may follow the act; busy (C0h) and destination unavailable (D3h) are also what
firmware says when the part that pulses the interrupt took the request and did not report back.
"""


def meaning(code: int) -> str:
    """A completion code as a person reads it: its number, and its name where it has one."""
    return f"completion code {code:02X}h ({_MEANINGS.get(code, 'specific to the command or the maker')})"


def judge_nmi(code: int) -> NmiAnswer:
    """What the completion code of the Chassis Control that asks for an NMI proves."""
    if code == COMPLETED:
        return NmiAnswer(NmiOutcome.SENT, "the BMC acknowledged the diagnostic interrupt")
    if code in _REFUSED_UNREAD:
        return NmiAnswer(NmiOutcome.NOT_SENT, f"the BMC refused the diagnostic interrupt: {meaning(code)}")
    return NmiAnswer(
        NmiOutcome.UNCERTAIN, f"the BMC answered {meaning(code)}, which does not say whether it acted"
    )


def require(reply: Reply, question: str, size: int = 0) -> bytes:
    """The data of a reply that completed, at least `size` bytes.

    Raises:
        ForbiddenError: the account's privilege is too low.
        UnsupportedError: the BMC does not know the command.
        PeerFailedError: any other code, or too little data.
    """
    if reply.code == NO_PRIVILEGE:
        raise ForbiddenError(
            f"this account may not {question}", hint="Give it OPERATOR on the LAN channel of the BMC."
        )
    if reply.code == INVALID_COMMAND:
        raise UnsupportedError(f"the BMC cannot {question}", hint="Go on without; not every BMC can.")
    if reply.code != COMPLETED:
        raise PeerFailedError(
            f"the BMC was asked to {question} and answered {meaning(reply.code)}",
            hint="Ask it by ipmitool; if that fails alike, restart the BMC (`mc reset cold`), not the host.",
        )
    if len(reply.data) < size:
        raise PeerFailedError(
            f"the BMC was asked to {question} and answered {len(reply.data)} bytes, not {size}",
            hint="The BMC's firmware is at fault; look for an update.",
        )
    return reply.data
