from __future__ import annotations

import pytest

from collector.adapters.kerberos import error_of, kind_of
from collector.errors import AdapterError, LoginRefusedError, NotTriedError, UnreachableError

GSS_S_FAILURE, GSS_S_NO_CRED = 0xD0000, 0x70000


class GssError(Exception):
    """As gssapi has it: both codes unsigned, and words of whatever language."""

    def __init__(self, major: int, minor: int) -> None:
        super().__init__("Unspecified GSS failure:\n 시간이 다릅니다")
        self.maj_code, self.min_code = major, minor & 0xFFFFFFFF


class KrbError(Exception):
    """As krb5 has it: one code, signed."""

    def __init__(self, code: int) -> None:
        super().__init__("das Kennwort ist abgelaufen")
        self.err_code = code


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GssError(GSS_S_FAILURE, -1765328347), "clock"),
        (GssError(GSS_S_FAILURE, -1765328377), "service"),
        (GssError(GSS_S_FAILURE, -1765328352), "ticket"),
        (GssError(GSS_S_NO_CRED, 39756044), "ticket"),
        (GssError(GSS_S_FAILURE, 1), "kerberos"),
        (KrbError(-1765328366), "account"),
        (KrbError(-1765328361), "account"),
        (KrbError(-1765328230), "realm"),
        (KrbError(-1765328228), "kdc"),
        (KrbError(-1), "kerberos"),
    ],
)
def test_codes_tell_what_went_wrong_in_any_language(error: Exception, kind: str) -> None:
    found = kind_of(error)
    assert found is not None
    assert found[0] == kind
    assert "\n" not in found[1]


def test_the_code_is_found_inside_what_holds_it() -> None:
    outer = ValueError("pyspnego's")
    outer.__cause__ = KrbError(-1765328366)
    assert (kind_of(outer) or ("", ""))[0] == "account"
    assert kind_of(ValueError("no code")) is None
    assert error_of(ValueError("no code"), "smb://db01") is None


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        (-1765328366, LoginRefusedError, "locked"),
        (-1765328189, NotTriedError, "kinit"),
        (-1765328347, NotTriedError, "clock"),
        (-1765328377, NotTriedError, "no IP address"),
        (-1765328228, UnreachableError, "krb5.conf"),
    ],
)
def test_each_has_its_error_and_its_hint(code: int, kind: type[AdapterError], hint: str) -> None:
    error = error_of(KrbError(code), "smb://db01.example.com")
    assert type(error) is kind
    assert "smb://db01.example.com" in error.message
    assert hint in error.hint
