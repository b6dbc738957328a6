"""An ESXi host as the vCenter that manages it sees it: from elsewhere, and with what it remembers.

A controller that looks, and has the host's logs packed when it is told to. An NMI to a host goes through its
BMC, which is listed beside it. The host itself is of no use here: one that hangs does not answer, and one
that answers always calls itself connected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import HostState, LogEvent, PowerState
from collector.adapters.limits import Deadline
from collector.adapters.vsphere import VsphereServer, log_in
from collector.errors import InventoryError, UnreachableError
from collector.model.host import Credential, Endpoint

if TYPE_CHECKING:
    from collector.adapters.vsphere_session import VsphereSession


class EsxiHostEndpoint(VsphereServer):
    """A vCenter, and the ESXi host of it that is meant."""

    type: Literal["esxi-host"] = Field(
        default="esxi-host", description="An ESXi host as its vCenter sees it; it sends no NMI."
    )
    host: str = Field(
        min_length=1,
        max_length=255,
        description="The ESXi host: its name in vCenter, its IP address, or the UUID of its hardware.",
    )

    @property
    def identity(self) -> str:
        """The vCenter: a login that it refused is not tried again for its machines or its datastores."""
        return f"vsphere://{self.address}:{self.port}"

    @property
    def nmi_target(self) -> str:
        """The host: other hosts of this vCenter are not locked with it."""
        return f"{self.identity} host {self.host.casefold()}"


class EsxiHostController:
    """Implements `Power`, `HostView`, `EventLog`, `SupportBundle` and `Notices`. For one thread.

    Raises on entry:
        HostKeyError: the vCenter's certificate is not proved; no credential was sent.
        LoginRefusedError: it said no; it was asked once.
        UnreachableError, DeadlineError, PeerFailedError: it is not there, silent, or no vSphere.
        InventoryError: it knows no such host, or more than one; or it is an ESXi host itself.
        MissingExtraError: pyVmomi is not installed.
    """

    settings: ClassVar[type[Endpoint]] = EsxiHostEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, EsxiHostEndpoint)
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._entered: tuple[VsphereSession, Any] | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """Whether nobody verified the certificate."""
        return self._endpoint.warnings

    def __enter__(self) -> Self:
        session = log_in(self._endpoint, self._credential, self._deadline)
        try:
            host = self._find(session)
        except BaseException:
            session.close()
            raise
        self._entered = session, host
        return self

    def __exit__(self, *exc: object) -> None:
        if self._entered is not None:
            self._entered[0].close()
            self._entered = None

    def power_state(self, deadline: Deadline) -> PowerState:
        """Unknown while the host is not connected, unless the vCenter itself powered it off."""
        return self.host_state(deadline).power

    def host_state(self, deadline: Deadline) -> HostState:
        """Whether its agent answers, since when it runs, and which machines are on it."""
        from collector.adapters.vsphere_host import host_state

        return host_state(*self._host(), deadline)

    def events(self, deadline: Deadline) -> Sequence[LogEvent]:
        """The newest events of the host, of the last two days: when the vCenter lost it, for one."""
        from collector.adapters.vsphere_guest import events

        return events(*self._host(), deadline)

    def make_bundle(self, deadline: Deadline) -> str:
        """What vm-support collects, packed by the host; a file that the vCenter keeps for a while."""
        from collector.adapters.vsphere_logs import make_bundle

        return make_bundle(*self._host(), deadline)

    def read_bundle(self, place: str, offset: int, stall: float) -> Iterator[bytes]:
        """From the vCenter, over a connection of its own, from any byte."""
        from collector.adapters.vsphere_logs import read_bundle

        return read_bundle(self._host()[0], place, offset, stall)

    def _find(self, session: VsphereSession) -> Any:  # noqa: ANN401
        from collector.adapters.vsphere_host import find_host

        if not session.vcenter:
            raise InventoryError(
                f"{session.where} is an ESXi host, and its own word says nothing of whether it hangs",
                hint="Give `esxi-host` the address of the vCenter that manages it, or leave it out.",
            )
        return find_host(session, self._endpoint.host, self._endpoint.datacenter, self._deadline)

    def _host(self) -> tuple[VsphereSession, Any]:
        if self._entered is None:
            raise UnreachableError(
                "there is no session with vSphere", hint="Log in first: use the controller in a `with` block."
            )
        return self._entered
