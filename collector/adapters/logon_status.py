"""What Windows says of a logon that failed, over SMB and CredSSP: NTSTATUS ([MS-ERREF] section 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping

REFUSED: Mapping[int, str] = {
    0x8009030C: "wrong user name or password",  # SEC_E_LOGON_DENIED, which is no NTSTATUS
    0xC0000022: "access denied",
    0xC0000064: "no such user",
    0xC000006A: "wrong password",
    0xC000006D: "wrong user name or password",
    0xC000006E: "the account is restricted (an empty password, or a policy)",
    0xC000006F: "not at this hour",
    0xC0000070: "not from this machine",
    0xC0000071: "the password has expired",
    0xC0000072: "the account is disabled",
    0xC0000133: "the clocks differ too much",
    0xC000015B: "the account may not log in over the network",
    0xC0000193: "the account has expired",
    0xC0000224: "the password must be changed first",
    0xC0000234: "the account is locked out",
    0xC0000388: "the server suspects that the login was weakened on its way",
}
"""The account was judged, or will be judged alike the next time."""

UNJUDGED: Mapping[int, str] = {
    0xC000005E: "no domain controller answers the host (no logon servers)",
    0xC000009A: "the host is short of resources",
    0xC00000D0: "the host takes no further session",
    0xC00000DC: "the host's account database is not ready",
    0xC000018A: "the host has no trust of its domain any more (no secret)",
    0xC000018B: "the host has no trust of its domain any more (no account)",
    0xC000018C: "the trust between its domain and the account's is broken",
    0xC000018D: "the trust between the host and its domain is broken",
    0xC0000192: "the host's Netlogon service has not started",
    0xC0000205: "the host is short of resources",
    0xC0000233: "the host finds no domain controller",
    0xC0000466: "the host is going down, or coming up",
}
"""Nobody looked at the password, so no account counts it. A domain's host may say so just after a boot."""

UNJUDGED_HINT = (
    "After a boot this passes in minutes. If it stays, look at the host's Netlogon service and its way to "
    "the domain controllers, or log in with an account of the host's own."
)
