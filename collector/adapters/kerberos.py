"""What goes wrong with Kerberos on this side, for WinRM and SMB. Codes tell it: words are in any language.

Nothing of Kerberos is imported: its packages are optional, and each has errors of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.errors import AdapterError, LoginRefusedError, NotTriedError, UnreachableError

_KINDS: Mapping[int, str] = {
    -1765328383: "account",  # KDC_ERR_NAME_EXP: the account has expired
    -1765328378: "account",  # KDC_ERR_C_PRINCIPAL_UNKNOWN: the KDC does not know it
    -1765328366: "account",  # KDC_ERR_CLIENT_REVOKED: locked, disabled, or outside its hours
    -1765328361: "account",  # KDC_ERR_KEY_EXPIRED: the password has expired, or must be changed
    -1765328360: "account",  # KDC_ERR_PREAUTH_FAILED: the password is wrong
    -1765328353: "account",  # KRB_AP_ERR_BAD_INTEGRITY: so too, without pre-authentication
    -1765328174: "account",  # KRB5_PREAUTH_FAILED
    -1765328377: "service",  # KDC_ERR_S_PRINCIPAL_UNKNOWN: no such service there
    -1765328352: "ticket",  # KRB_AP_ERR_TKT_EXPIRED
    -1765328351: "clock",  # KRB_AP_ERR_TKT_NYV: not valid yet
    -1765328347: "clock",  # KRB_AP_ERR_SKEW
    -1765328243: "ticket",  # KRB5_CC_NOTFOUND
    -1765328190: "ticket",  # KRB5_FCC_PERM
    -1765328189: "ticket",  # KRB5_FCC_NOFILE
    -1765328230: "realm",  # KRB5_REALM_UNKNOWN: no KDC is named for it
    -1765328228: "kdc",  # KRB5_KDC_UNREACH
    -1765328164: "kdc",  # KRB5_REALM_CANT_RESOLVE
}
"""Minor codes of MIT Kerberos: -1765328384 plus the numbers of RFC 4120 section 7.5.9, or plus its own of
krb5_err.et. Whatever is not here is told in Kerberos' own words."""

_NO_CREDENTIAL, _EXPIRED = 7, 11
"""Routine errors GSS_S_NO_CRED and GSS_S_CREDENTIALS_EXPIRED (RFC 2744 section 3.9.1), in bits 16 to 23."""

ERRORS: Mapping[str, tuple[type[AdapterError], str, str]] = {
    "account": (
        LoginRefusedError,
        "the KDC refused the login for {url}{words}",
        "The account is unknown, expired, locked or disabled, or its password wrong or too old: try `kinit`.",
    ),
    "ticket": (
        NotTriedError,
        "no Kerberos ticket for {url}{words}",
        "Run `kinit USER@REALM` as the user who runs this, or give the credential a password. See `klist`.",
    ),
    "clock": (
        NotTriedError,
        "Kerberos refuses the login at {url}, for the clocks differ{words}",
        "Set this machine's clock, the host's and the KDC's: they may be five minutes apart.",
    ),
    "service": (
        NotTriedError,
        "Kerberos knows no such service by the name in {url}{words}",
        "As `address`, give the full name that the directory knows, no IP address; krb5.conf maps its realm.",
    ),
    "realm": (
        NotTriedError,
        "Kerberos does not know the realm for {url}{words}",
        "Name the realm in capitals, and its KDC and domain in krb5.conf; or the user as USER@REALM.",
    ),
    "kdc": (
        UnreachableError,
        "no KDC answers for {url}{words}",
        "Check `kinit`, krb5.conf and DNS. NTLM needs no KDC here.",
    ),
    "kerberos": (
        LoginRefusedError,
        "Kerberos failed for {url}{words}",
        "Try `kinit` and `klist` as the user who runs this. It was tried once.",
    ),
}
"""By kind: the error, its message, its hint."""


def kind_of(error: BaseException) -> tuple[str, str] | None:
    """The kind of an error of gssapi or krb5, or of what holds one, and its words; None for any other."""
    for cause in _causes(error):
        code = getattr(cause, "min_code", getattr(cause, "err_code", None))
        if code is not None:
            routine = getattr(cause, "maj_code", 0) >> 16 & 0xFF
            other = "ticket" if routine in (_NO_CREDENTIAL, _EXPIRED) else "kerberos"
            return _KINDS.get(_signed(code), other), " ".join(str(cause).split())
    return None


def error_of(error: BaseException, url: str) -> AdapterError | None:
    """The error that a person reads; None if Kerberos is not to blame."""
    found = kind_of(error)
    if found is None:
        return None
    kind, message, hint = ERRORS[found[0]]
    return kind(message.format(url=url, words=f": {found[1]}"), hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    inner: BaseException | None = error
    while inner is not None:
        yield inner
        inner = getattr(inner, "base_error", None) or inner.__cause__


def _signed(code: int) -> int:
    """GSS-API's minor status is unsigned, com_err's codes are signed; both have 32 bits."""
    code &= 0xFFFFFFFF
    return code - 0x1_0000_0000 if code & 0x8000_0000 else code
