from __future__ import annotations

import pytest

from collector.adapters.ipmi_session import Target, _login_error
from collector.errors import LoginRefusedError, PeerFailedError, UnreachableError

TARGET = Target("192.0.2.110", 623, b"admin", b"the-password", 3)


@pytest.mark.parametrize(
    ("reason", "error", "words"),
    [
        (None, UnreachableError, "does not answer"),
        ("gaierror: [Errno -2] Name or service not known", UnreachableError, "does not resolve"),
        ("Incorrect password provided", LoginRefusedError, "password is wrong"),
        ("Unauthorized name in RAKP2", LoginRefusedError, "user is unknown"),
        ("Unauthorized role or privilege level requested in RAKP2", LoginRefusedError, "privilege"),
        ("Invalid role in RAKP2", LoginRefusedError, "privilege"),
        (
            "User is not allowed requested privilege level while requesting privelege level 3 for b'admin'",
            LoginRefusedError,
            "privilege",
        ),
        ("No Cipher suite match with proposed security algorithms", PeerFailedError, "No Cipher suite"),
        ("Insufficient resources to create new session", PeerFailedError, "Insufficient resources"),
        ("TypeError: can't concat str to bytes", PeerFailedError, "TypeError"),
    ],
)
def test_a_reason_is_the_error_that_it_means(reason: str | None, error: type[Exception], words: str) -> None:
    raised = _login_error(TARGET, reason)
    assert type(raised) is error
    assert words in raised.message
    assert "192.0.2.110" in raised.message
    assert raised.hint


def test_a_target_does_not_show_its_secrets() -> None:
    assert "the-password" not in repr(TARGET)
