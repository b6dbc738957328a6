"""A Hyper-V controller that is logged in to a host of the tests."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from collector.adapters.hyperv import HypervController, HypervEndpoint
from collector.adapters.limits import Deadline
from tests.peers.hyperv_host import HypervHost
from tests.peers.winrm_login import winrm_keys, winrm_login
from tests.peers.wsman import Wsman, wsman


@contextlib.contextmanager
def served(host: HypervHost) -> Iterator[tuple[Wsman, HypervController]]:
    """The host, served by WinRM, and a controller of its machine SQL01."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with wsman(folder, host) as server, controller(server, folder) as logged_in:
            yield server, logged_in


def controller(server: Wsman, folder: Path, *, seconds: float = 30.0, **keys: Any) -> HypervController:
    """A controller that is not logged in yet."""
    endpoint = HypervEndpoint(**{**winrm_keys(server), "vm": "SQL01", **keys})
    return HypervController(endpoint, winrm_login(folder), Deadline.after(seconds))
