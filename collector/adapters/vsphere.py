"""A virtual machine behind vCenter or an ESXi host: power, guest, screen, events, and the NMI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from collector.adapters.answers import (
    GuestState,
    LogEvent,
    NmiAnswer,
    NmiOutcome,
    PowerState,
    RemoteFile,
    SnapshotPrice,
    WatchdogState,
)
from collector.adapters.limits import Deadline
from collector.adapters.vsphere_https import Server, Trust
from collector.errors import InventoryError, MissingExtraError, UnreachableError
from collector.model.host import Credential, Endpoint, SecretRef

if TYPE_CHECKING:
    from collector.adapters.vsphere_rest import RestSession
    from collector.adapters.vsphere_session import VsphereSession

_SHA256 = re.compile(r"[0-9a-f]{64}")


class VsphereServer(Endpoint):
    """A vCenter or an ESXi host, and how it proves who it is."""

    sessions: ClassVar[int] = 8  # a vCenter has many machines behind it, and hundreds of sessions

    port: int = Field(default=443, ge=1, le=65_535, description="TCP port.")
    datacenter: str | None = Field(
        default=None, description="Look for it in this datacenter only, by name or inventory path."
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the CA, or of the server's own certificate; by default the system's CAs.",
    )
    certificate_sha256: str | None = Field(
        default=None, description="The fingerprint of the server's certificate, instead of a CA."
    )
    insecure_accept_any_certificate: bool = Field(
        default=False,
        description="Log in to whoever answers at this address. Whoever that is gets the login.",
    )

    @field_validator("certificate_sha256")
    @classmethod
    def _digits(cls, written: str | None) -> str | None:
        if written is None:
            return None
        digits = written.removeprefix("sha256:").removeprefix("SHA256:").replace(":", "").lower()
        if not _SHA256.fullmatch(digits):
            raise ValueError("must be a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")
        return digits

    @model_validator(mode="after")
    def _one_proof(self) -> Self:
        proofs = (self.ca_file, self.certificate_sha256, self.insecure_accept_any_certificate or None)
        if sum(proof is not None for proof in proofs) > 1:
            raise ValueError(
                "only one of ca_file, certificate_sha256 and insecure_accept_any_certificate is wanted"
            )
        return self

    @property
    def server(self) -> Server:
        """Where it is, and how it proves who it is."""
        anyone = self.insecure_accept_any_certificate
        return Server(self.address, self.port, Trust(self.ca_file, self.certificate_sha256, anyone))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user must be told of such an endpoint."""
        if self.insecure_accept_any_certificate:
            return (f"{self.identity}: its certificate is NOT verified: whoever answers gets the login",)
        return ()


class VsphereEndpoint(VsphereServer):
    """A vCenter or an ESXi host, and the virtual machine behind it that is meant."""

    type: Literal["vsphere"] = Field(default="vsphere", description="vCenter or an ESXi host.")
    vm: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The virtual machine: name, inventory path (DC/vm/folder/name), UUID, IP or DNS name.",
    )

    @property
    def nmi_target(self) -> str:
        """The virtual machine: an NMI to one leaves the others behind this server alone."""
        return f"{self.identity} {self.vm}"


class VsphereController:
    """Implements `Power`, `GuestView`, `Screen`, `EventLog`, `Watchdog`, `NmiInjector` and `MemorySnapshot`.

    Implements `Notices`, too. For one thread. Entering logs in and finds the virtual machine. A screenshot is
    the server's own: it stays in the machine's folder, as removing it needs the right to delete disks.

    Raises on entry:
        HostKeyError: the server's certificate is not proved; no credential was sent.
        LoginRefusedError: it said no; it was asked once.
        UnreachableError, DeadlineError, PeerFailedError: it is not there, silent, or no vSphere.
        InventoryError: the endpoint names no virtual machine, none that exists, or more than one.
        MissingExtraError: pyVmomi is not installed.
    """

    settings: ClassVar[type[Endpoint]] = VsphereEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, VsphereEndpoint)
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._entered: tuple[VsphereSession, Any] | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """Whether nobody verified the certificate."""
        return self._endpoint.warnings

    def __enter__(self) -> Self:
        if self._endpoint.vm is None:
            raise InventoryError(
                f"the endpoint {self._endpoint.identity} does not say which virtual machine is meant",
                hint="Name it in `vm`, best by its instance UUID or its inventory path.",
            )
        session = log_in(self._endpoint, self._credential, self._deadline)
        try:
            from collector.adapters.vsphere_find import find_vm

            vm = find_vm(session, self._endpoint.vm, self._endpoint.datacenter, self._deadline)
        except BaseException:
            session.close()
            raise
        self._entered = session, vm
        return self

    def __exit__(self, *exc: object) -> None:
        if self._entered is not None:
            self._entered[0].close()
            self._entered = None

    def power_state(self, deadline: Deadline) -> PowerState:
        """As the server knows it."""
        from collector.adapters.vsphere_guest import power_state

        return power_state(*self._machine(), deadline)

    def guest(self, deadline: Deadline) -> GuestState:
        """Power, heartbeat, tools, boot time, and the question that it may wait for."""
        from collector.adapters.vsphere_guest import guest_state

        return guest_state(*self._machine(), deadline)

    def screenshot(self, deadline: Deadline) -> bytes:
        """A PNG, which also stays in the machine's folder."""
        from collector.adapters.vsphere_guest import screenshot

        return screenshot(*self._machine(), deadline)

    def events(self, deadline: Deadline) -> Sequence[LogEvent]:
        """The newest events of the machine, of the last two days."""
        from collector.adapters.vsphere_guest import events

        return events(*self._machine(), deadline)

    def watchdog(self, deadline: Deadline) -> WatchdogState:
        """VM Monitoring of vSphere HA, which resets machines whose tools are silent."""
        from collector.adapters.vsphere_ha import watchdog

        return watchdog(*self._machine(), deadline)

    def snapshot_price(self, deadline: Deadline) -> SnapshotPrice:
        """The machine's memory, in files on its datastore."""
        from collector.adapters.vsphere_snapshot import price

        return price(*self._machine(), deadline)

    def take_snapshot(self, name: str, deadline: Deadline) -> Sequence[RemoteFile]:
        """A snapshot with memory, of a machine that goes on; its files are on the datastore."""
        from collector.adapters.vsphere_snapshot import take

        return take(*self._machine(), name, deadline)

    def remove_snapshot(self, name: str, deadline: Deadline) -> None:
        """Only the snapshot of this name: what others took stays."""
        from collector.adapters.vsphere_snapshot import remove

        remove(*self._machine(), name, deadline)

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """One NMI by the first way that the server has."""
        if self._entered is None or deadline.expired:
            why = "the time was up" if deadline.expired else "there is no session any more"
            return NmiAnswer(NmiOutcome.NOT_SENT, f"nothing was put on the wire: {why}")
        from collector.adapters.vsphere_bundle import support_bundle
        from collector.adapters.vsphere_ladder import climb, send_nmi_method

        session, vm = self._entered
        return climb([send_nmi_method(session, vm._GetMoId()), support_bundle(session, vm)], deadline)

    def _machine(self) -> tuple[VsphereSession, Any]:
        if self._entered is None:
            raise UnreachableError(
                "there is no session with vSphere", hint="Log in first: use the controller in a `with` block."
            )
        return self._entered


def log_in(endpoint: VsphereServer, credential: Credential | None, deadline: Deadline) -> VsphereSession:
    """A session with the endpoint's server; `close` it.

    Raises: AdapterError as `VsphereSession` does; MissingExtraError; InventoryError, SecretError.
    """
    user, password = _named(endpoint, credential)
    try:
        from collector.adapters.vsphere_session import VsphereSession
    except ImportError as error:
        raise MissingExtraError(
            "vSphere needs a package that is not installed", hint="pip install 'hang-collector[vsphere]'"
        ) from error
    from collector.config.secrets import reveal

    return VsphereSession(endpoint.server, user, reveal(password), deadline)


def log_in_to_rest(
    endpoint: VsphereServer, credential: Credential | None, api_version: str, deadline: Deadline
) -> RestSession:
    """A session with the REST side of the endpoint's vCenter; `close` it.

    Raises: AdapterError as `RestSession` does; InventoryError, SecretError.
    """
    from collector.adapters.vsphere_rest import RestSession
    from collector.config.secrets import reveal

    user, password = _named(endpoint, credential)
    return RestSession(endpoint.server, user, reveal(password), api_version, deadline)


def _named(endpoint: VsphereServer, credential: Credential | None) -> tuple[str, SecretRef]:
    if credential is None or credential.username is None or credential.password is None:
        raise InventoryError(
            f"the endpoint {endpoint.identity} needs a credential with `username` and `password`",
            hint="Add one under `credentials`, and name it in the endpoint's `credential`.",
        )
    return credential.username, credential.password
