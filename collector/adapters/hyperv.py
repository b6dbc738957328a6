"""A virtual machine on Hyper-V, through PowerShell on its host: the NMI, power, heartbeat, console, log.

The NMI is one `Debug-VM -InjectNonMaskableInterrupt` (Windows Server 2012 R2 and later), on the very machine
that was found at the login. It is sent in a script of its own, which the host begins only with the last byte
of its input: what fails before that is proved not to have been sent.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import GuestState, LogEvent, NmiAnswer, NmiOutcome, PowerState
from collector.adapters.hyperv_machine import (
    Found,
    VirtualMachine,
    events_in,
    found_in,
    judge,
    machine_in,
    nonsense,
    shown,
)
from collector.adapters.hyperv_screen import png_of_rgb565
from collector.adapters.limits import Deadline
from collector.adapters.winrm_script import answer_of, load, plain_errors
from collector.adapters.winrm_session import Call, WinrmSession
from collector.adapters.winrm_settings import WinrmSettings
from collector.errors import AdapterError, DeadlineError, PeerFailedError, UnreachableError
from collector.model.host import Credential, Endpoint

_ASKING = b'{"asking": "vmms"}'
"""A script writes it before it calls Get-VM. Alone, it proves that PowerShell runs and Get-VM is stuck."""


class HypervEndpoint(WinrmSettings):
    """A virtual machine, reached through WinRM on its Hyper-V host."""

    type: Literal["hyperv"] = Field(default="hyperv", description="A machine on Hyper-V, through its host.")
    vm: str = Field(min_length=1, max_length=100, description="The machine's name, as Get-VM shows it.")
    nodes: Mapping[str, str] = Field(
        default_factory=dict,
        description="Other nodes of the cluster that may own the machine: node name to address.",
    )

    @property
    def nmi_target(self) -> str:
        """The machine, not the host: several machines share one endpoint."""
        return f"{self.identity}/{self.vm.casefold()}"


class HypervController:
    """Implements `Adapter`, `Power`, `NmiInjector`, `EventLog`, `GuestView`, `Screen` and `Notices`.

    Raises on entry:
        PeerFailedError: the host, or its cluster, has no such machine, or several; or a node owns it that
            the endpoint does not name.
        DeadlineError: the host is silent; or it answers and its management service, vmms, is stuck.
        UnsupportedError: Hyper-V is not there, or too old.
        ForbiddenError: the account may not ask Hyper-V.
        AdapterError: as `WinrmChannel`.
    """

    settings: ClassVar[type[Endpoint]] = HypervEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, HypervEndpoint)
        self._endpoint = endpoint
        self._credential = credential
        self._deadline = deadline
        self._session: WinrmSession | None = None
        self._id = ""
        self._place = endpoint.address

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user must be told of this connection, such as a certificate that nobody verified."""
        return self._endpoint.warnings

    def __enter__(self) -> Self:
        try:
            self._id = self._locate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def power_state(self, deadline: Deadline) -> PowerState:
        """By the machine's state; a paused machine has power."""
        return self.machine(deadline).power

    def guest(self, deadline: Deadline) -> GuestState:
        """Power, heartbeat, integration services, and when it was started by our clock."""
        return self.machine(deadline).guest(datetime.now(UTC), self._place)

    def machine(self, deadline: Deadline) -> VirtualMachine:
        """State, heartbeat, uptime and integration services. Raises: AdapterError."""
        return machine_in(self._ask("hyperv_state", deadline, id=self._id)[1])

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """One Debug-VM, and what came of it."""
        if self._session is None or deadline.expired:
            why = "the time was up" if deadline.expired else "there is no session with the host any more"
            return NmiAnswer(NmiOutcome.NOT_SENT, f"nothing was sent: {why}")
        call = Call(load("hyperv_nmi"), {"id": self._id})
        try:
            self._session.run(call, deadline)
            return judge(_answer(call))
        except AdapterError as error:
            if not call.begun:
                return NmiAnswer(NmiOutcome.NOT_SENT, f"Debug-VM was not called: {error.message}")
            return NmiAnswer(NmiOutcome.UNCERTAIN, f"Debug-VM may have been called, and then {error.message}")

    def screenshot(self, deadline: Deadline) -> bytes:
        """The machine's console, without touching it, as a PNG."""
        stdout, answer = self._ask("hyperv_screen", deadline, id=self._id.upper())
        if answer.get("code") != 0:
            raise PeerFailedError(
                f"Hyper-V gave no picture of the console: return value {shown(answer.get('code'))}",
                hint="A machine that is off has none; look at it in vmconnect.",
            )
        try:
            image = base64.b64decode(stdout.splitlines()[-2], validate=True)
            return png_of_rgb565(image, int(answer["width"]), int(answer["height"]))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise nonsense() from error

    def events(self, deadline: Deadline) -> Sequence[LogEvent]:
        """What Hyper-V logged of the machine within two days; vmms need not answer for it."""
        return events_in(self._ask("hyperv_events", deadline, id=self._id)[1])

    def _locate(self) -> str:
        """The machine's id, after the login to the host that has it: the endpoint's own, or the owner."""
        found = self._find(self._endpoint)
        if found.owner:
            found = self._find(self._at_owner(found.owner))
        if found.owner:
            raise PeerFailedError(
                f"the machine {self._endpoint.vm!r} moves between nodes", hint="Try again in a minute."
            )
        return found.id

    def _at_owner(self, owner: str) -> HypervEndpoint:
        """The endpoint at the node that owns the machine; only nodes that the user named get the login."""
        addresses = {name.casefold(): address for name, address in self._endpoint.nodes.items()}
        address = addresses.get(owner.casefold())
        if address is None:
            raise PeerFailedError(
                f"the machine {self._endpoint.vm!r} is on the node {shown(owner)}, which is not known here",
                hint=f"Add `nodes: {{{shown(owner)}: ADDRESS}}` to this endpoint.",
            )
        return self._endpoint.model_copy(update={"address": address})

    def _find(self, endpoint: HypervEndpoint) -> Found:
        self.__exit__()
        self._place = endpoint.address
        self._session = WinrmSession(endpoint.target(self._credential), self._deadline)
        return found_in(self._ask("hyperv_find", self._deadline, vm=endpoint.vm)[1], endpoint.vm)

    def _ask(self, script: str, deadline: Deadline, **arguments: str) -> tuple[bytes, Mapping[str, Any]]:
        """Run a script that only reads: what it wrote, and the answer in its last line."""
        if self._session is None:
            raise UnreachableError("there is no session with the Hyper-V host", hint="Log in first.")
        call = Call(load(script), arguments)
        try:
            self._session.run(call, deadline)
        except DeadlineError as error:
            if bytes(call.stdout).strip() == _ASKING:
                raise _vmms_is_stuck(self._place, deadline) from error
            raise
        return bytes(call.stdout), _answer(call)


def _answer(call: Call) -> Mapping[str, Any]:
    if call.exit_status != 0:
        raise PeerFailedError(
            f"PowerShell failed on the Hyper-V host: {shown(plain_errors(bytes(call.stderr)))}",
            hint="Run it there by hand, as the same user.",
        )
    return answer_of(bytes(call.stdout))


def _vmms_is_stuck(place: str, deadline: Deadline) -> DeadlineError:
    return DeadlineError(
        f"the Hyper-V host {place} answers, and its management service (vmms) does not: "
        f"Get-VM did not return within {deadline.seconds:g} s",
        hint="No NMI can pass through a stuck vmms. Collect from the Hyper-V host itself: a process dump of "
        "vmms.exe and a live kernel dump. Machines run on while vmms is restarted.",
    )
