"""Deadlines, and the brake after a refused login."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from collector.errors import LoginRefusedError


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
