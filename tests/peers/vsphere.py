"""Our controller, logged in to a vSphere double."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from collector.adapters.limits import Deadline
from collector.adapters.vsphere import VsphereController, VsphereEndpoint, log_in
from collector.adapters.vsphere_session import VsphereSession
from collector.model.host import Credential, SecretRef
from tests.peers.soap_server import ADDRESS, Rule
from tests.peers.vsphere_double import PASSWORD, USER, VsphereDouble


class Peer(Protocol):
    """A double in Python or in Go: where it listens, and what it shows."""

    @property
    def port(self) -> int: ...
    @property
    def certificate(self) -> Path: ...


def credential(folder: Path, *, password: str = PASSWORD) -> Credential:
    """The double's user."""
    secret = folder / "vsphere-password"
    secret.write_text(password)
    secret.chmod(0o600)
    return Credential("vc", username=USER, password=SecretRef("file", str(secret), folder))


def endpoint(double: Peer, **keys: Any) -> VsphereEndpoint:
    """The double, its certificate named as the one to trust unless `keys` say otherwise."""
    trust = {} if {"certificate_sha256", "insecure_accept_any_certificate"} & set(keys) else {"ca_file": None}
    if trust:
        trust = {"ca_file": double.certificate}
    return VsphereEndpoint.model_validate({"address": ADDRESS, "port": double.port, **trust, **keys})


@contextlib.contextmanager
def logged_in(
    double: Peer, folder: Path, vm: str, seconds: float = 30.0, **keys: Any
) -> Iterator[VsphereController]:
    """The controller of one machine."""
    deadline = Deadline.after(seconds)
    with VsphereController(endpoint(double, vm=vm, **keys), credential(folder), deadline) as controller:
        yield controller


@contextlib.contextmanager
def session(double: Peer, folder: Path, seconds: float = 30.0) -> Iterator[VsphereSession]:
    """A session without a machine."""
    made = log_in(endpoint(double), credential(folder), Deadline.after(seconds))
    with contextlib.closing(made):
        yield made


@contextlib.contextmanager
def one_machine(rule: Rule | None) -> Iterator[tuple[VsphereController, VsphereDouble]]:
    """The controller of the one machine of a vCenter that follows `rule` when it is asked for an NMI."""
    with tempfile.TemporaryDirectory() as folder, VsphereDouble(Path(folder)) as double:
        double.world.add_vm("app07")
        double.world.host.name = ADDRESS  # where nothing listens on the port of ESXi
        if rule is not None:
            double.rules["SendNMI"] = rule
        with logged_in(double, Path(folder), "app07") as controller:
            yield controller, double
