"""Deadlines, and the brakes after refused logins."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from collector.errors import HostKeyError, LoginRefusedError, NotTriedError
from collector.model.host import Credential

UNPROVED = 3
"""Logins of a directory's account that may be refused, or under way, before any host has let it in. The CIS
benchmarks for Windows lock an account after five failures or fewer (1.2.2, account lockout threshold)."""

_ANSWER_S = 5.0
"""Seconds to wait for what the first hosts say of an account. Silent ones must not hold up the rest."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock by which a whole piece of work must have ended.

    Pass it down instead of a timeout: ten reads of five seconds each are not a five second deadline.
    """

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Start a deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        """True once no time is left."""
        return self.remaining() == 0.0

    def within(self, seconds: float) -> Deadline:
        """Return the earlier of this deadline and `seconds` from now."""
        other = Deadline.after(seconds)
        return self if self.at <= other.at else other


@dataclass(slots=True)
class LoginBrake:
    """Remembers refused logins, so that no credential is offered twice to a peer that said no.

    Three refusals lock an account on many directories and BMCs; one run must never come near that.
    """

    _refused: dict[tuple[str, str | None], LoginRefusedError] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, peer: str, credential: str | None) -> None:
        """Raise the remembered refusal if this credential was already refused there.

        Raises:
            LoginRefusedError: the first refusal, as it was.
        """
        with self._lock:
            refusal = self._refused.get((peer, credential))
        if refusal is not None:
            raise refusal

    def pull(self, peer: str, credential: str | None, refusal: LoginRefusedError) -> None:
        """Remember a refusal for the rest of this run."""
        with self._lock:
            self._refused.setdefault((peer, credential), refusal)


class DirectoryBrake:
    """Keeps a wrong password of a directory's account from being offered to host after host.

    The directory adds up what all of them report and locks the account, though each was asked only once.
    Once a host has let the account in, its password is right, and nothing is held back any more.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def attempt(self, credential: Credential | None, host: str, deadline: Deadline) -> Iterator[None]:
        """Log in to `host` inside the block; for a moment, that may wait for what other hosts say.

        Raises:
            NotTriedError: three logins of this account were refused, and no host has let it in.
        """
        if credential is None or not _in_directory(credential):
            yield
            return
        with self._changed:
            account = self._accounts.setdefault(credential.name, _Account())
            self._changed.wait_for(account.decided, min(_ANSWER_S, deadline.remaining() / 2))
            account.check(credential)
            account.asking += 1
        let_in = refused = False
        try:
            yield
            let_in = True
        except LoginRefusedError as refusal:
            refused = not isinstance(refusal, HostKeyError)  # that host never saw the password
            raise
        finally:
            with self._changed:
                account.asking -= 1
                account.proved |= let_in
                if refused:
                    account.refused.append(host)
                self._changed.notify_all()


@dataclass(slots=True)
class _Account:
    """What the hosts of a run have said of one account."""

    asking: int = 0
    proved: bool = False
    refused: list[str] = field(default_factory=list)

    def decided(self) -> bool:
        """Whether there is no need to wait for those that are being asked."""
        return self.proved or len(self.refused) >= UNPROVED or len(self.refused) + self.asking < UNPROVED

    def check(self, credential: Credential) -> None:
        if not self.proved and len(self.refused) >= UNPROVED:
            hosts = ", ".join(dict.fromkeys(self.refused))
            raise NotTriedError(
                f"the login as {credential.username} was refused by {hosts}, and no host let it in, so it "
                "was not tried here: the directory would lock the account",
                hint=f"Correct the credential {credential.name!r}, or give those hosts one that they know; "
                "then run it again.",
            )


def _in_directory(credential: Credential) -> bool:
    """Whether many hosts ask one directory about this password: DOMAIN\\user or user@domain."""
    domain, _, user = (credential.username or "").rpartition("\\")
    return credential.password is not None and (domain not in ("", ".") or "@" in user)
