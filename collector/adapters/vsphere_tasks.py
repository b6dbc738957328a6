"""Wait for a task of vSphere, by short looks: pyVmomi's own wait ignores its time limit."""

from __future__ import annotations

import time
from typing import Any

from pyVmomi import vim

from collector.adapters.limits import Deadline
from collector.adapters.vsphere_faults import error_of
from collector.adapters.vsphere_properties import read
from collector.adapters.vsphere_session import VsphereSession
from collector.errors import DeadlineError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


def result_of(session: VsphereSession, task: Any, what: str, deadline: Deadline) -> Any:  # noqa: ANN401
    """What the task came to. The task goes on at the server when the deadline ends the wait.

    Raises:
        DeadlineError: it is still queued or running; `what` tells a person what it is.
        AdapterError: it failed, or could not be looked at.
    """
    pause = _FIRST_PAUSE_S
    while True:
        (values,) = read(session, [task], ["info.state", "info.result", "info.error"], deadline)
        state = values.get("info.state")
        if state == vim.TaskInfo.State.success:
            return values.get("info.result")
        if state == vim.TaskInfo.State.error:
            fault = values["info.error"]
            raise error_of(fault, session.where) from fault
        if deadline.remaining() <= pause:
            raise DeadlineError(
                f"{what} was not done by {session.where} in {deadline.seconds:g} s",
                hint="The task goes on there: look at the recent tasks of vCenter.",
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
