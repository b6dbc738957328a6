"""Log in to a BMC on loopback with the adapter as it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from collector.adapters.ipmi import IpmiController, IpmiEndpoint
from collector.adapters.limits import Deadline
from collector.lab.bmc import ADMIN
from collector.model.host import Credential, SecretRef

VARIABLE = "HC_TEST_BMC_PASSWORD"


@contextlib.contextmanager
def logged_in(
    port: int,
    *,
    address: str = "127.0.0.1",
    user: str = ADMIN.name,
    password: str = ADMIN.password,
    privilege: Literal["operator", "administrator"] = "operator",
    seconds: float = 30.0,
) -> Iterator[IpmiController]:
    """Hold a session for the length of the block; `seconds` is the deadline of the login."""
    endpoint = IpmiEndpoint(address=address, port=port, privilege=privilege)
    credential = Credential("bmc", username=user, password=SecretRef("env", VARIABLE, Path()))
    with (
        patch.dict(os.environ, {VARIABLE: password}),
        IpmiController(endpoint, credential, Deadline.after(seconds)) as controller,
    ):
        yield controller
