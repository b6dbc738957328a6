"""How long to wait for the next byte of a file server."""

from __future__ import annotations

from collector.adapters.limits import Deadline
from collector.errors import DeadlineError


class Patience:
    """A whole deadline, or `stall` seconds without a byte where there is none.

    Args:
        server: what waits for us there, such as SFTP.
        deadline: when all of it must have ended.
        stall: seconds that may pass without a byte.
    """

    def __init__(self, server: str, deadline: Deadline | None = None, *, stall: float = 0.0) -> None:
        self._server = server
        self._deadline = deadline
        self._stall = stall

    def seconds(self) -> float:
        """How long to wait at this moment; nothing is left at zero."""
        return self._stall if self._deadline is None else self._deadline.remaining()

    def error(self) -> DeadlineError:
        """The error for a wait that was in vain."""
        if self._deadline is None:
            return DeadlineError(
                f"the host sent no byte of the file for {self._stall:g} s",
                hint="Look whether it is still up (`probe`), then `resume` the case: it goes on from here.",
            )
        return DeadlineError(
            f"the {self._server} server did not answer in {self._deadline.seconds:g} s",
            hint="The host may be hung, or its disk: probe it, and look at its console.",
        )
