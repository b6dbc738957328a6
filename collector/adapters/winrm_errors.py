"""What a person reads when a WinRM session fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collector.adapters import kerberos
from collector.adapters.limits import Deadline
from collector.adapters.logon_status import UNJUDGED_HINT
from collector.adapters.winrm_script import MAX_ERROR
from collector.errors import (
    AdapterError,
    DeadlineError,
    ForbiddenError,
    HostKeyError,
    LoginRefusedError,
    MissingExtraError,
    NotTriedError,
    PeerFailedError,
    UnreachableError,
)

_ERRORS: Mapping[str, tuple[type[AdapterError], str, str]] = {
    **kerberos.ERRORS,
    "refused": (
        LoginRefusedError,
        "WinRM at {url} refused the login{words}",
        "Is the account DOMAIN\\user locked, disabled or expired, or its password? It was tried once.",
    ),
    "unjudged": (NotTriedError, "WinRM at {url} could not judge the login{words}", UNJUDGED_HINT),
    "forbidden": (
        ForbiddenError,
        "this account may not run commands over WinRM at {url}{words}",
        "Make it a member of Administrators, or of Remote Management Users, on the host.",
    ),
    "scheme": (
        NotTriedError,
        "WinRM at {url} takes no login by {transport}; it offers{words}",
        "Allow it there (`winrm get winrm/config/service/auth`), or choose another `transport`.",
    ),
    "unproved": (
        HostKeyError,
        "what answers at {url} did not prove by {transport} who it is{words}",
        "Somebody may stand in between. For CredSSP, the host needs the update for CVE-2018-0886 (2018).",
    ),
    "certificate": (
        HostKeyError,
        "the certificate of {url} is not proved{words}",
        "Name the CA, or the host's own certificate, in `ca_file`, and the host as its certificate does.",
    ),
    "unreachable": (
        UnreachableError,
        "no connection to WinRM at {url}{words}",
        "Check address and port, the listener (`winrm enumerate winrm/config/listener`), and firewalls.",
    ),
    "lost": (
        UnreachableError,
        "the WinRM session at {url} was lost: another login is wanted",
        "Try again; the service may have been restarted.",
    ),
    "foreign": (
        PeerFailedError,
        "what answers at {url} is not the host's WinRM{words}",
        "Check address and port, and that no proxy or portal stands in between.",
    ),
    "clear": (
        PeerFailedError,
        "no encryption came about with {url}, so nothing was sent",
        "Use `tls: true`, or a transport that encrypts messages: ntlm, kerberos or credssp.",
    ),
    "status": (
        PeerFailedError,
        "{url} answered in place of WinRM{words}",
        "After 503, http.sys lives and the WinRM service does not: the host may be hung. Probe it.",
    ),
    "extra": (
        MissingExtraError,
        "the transport {transport} needs an optional package{words}",
        "Run `pip install 'hang-collector[windows-{transport}]'`.",
    ),
    "ended": (
        AdapterError,
        "the process that holds WinRM sessions did not start, or ended",
        "Run `python -P -m collector.adapters.winrm_worker </dev/null` to see why.",
    ),
    "peer": (PeerFailedError, "WinRM at {url} failed{words}", "Look at the WinRM service on the host."),
}
"""By the kinds of failure of `winrm_transport`: the error, its message, its hint."""


def error_of(failure: Mapping[str, Any], url: str, transport: str, deadline: Deadline) -> AdapterError:
    """The error that a line `{"failed": kind, "words": text}` of the worker stands for."""
    if failure["failed"] in ("late", "silent"):
        return too_late(url, deadline)
    words = "".join(c if c.isprintable() else " " for c in str(failure["words"]))[:MAX_ERROR].strip()
    kind, message, hint = _ERRORS[failure["failed"]]
    return kind(
        message.format(url=url, transport=transport, words=f": {words}" if words else ""),
        hint=hint.format(transport=transport),
    )


def too_late(url: str, deadline: Deadline) -> DeadlineError:
    """Nothing came in time."""
    return DeadlineError(
        f"WinRM at {url} did not answer within {deadline.seconds:g} s",
        hint="The host may be hung or overloaded: probe it, or give the step a longer deadline.",
    )
