"""A virtual machine through the shell of the ESXi host that runs it: the last rungs of vSphere's ladder.

For the night on which vCenter and the host's API have no NMI to give. It is a controller of its own, listed
after `vsphere`: the run goes on to it only after the one before proved that it sent nothing. The host is not
looked up; the endpoint names the one that has the machine now.

Sources: Broadcom KB 301246 (`vm-support -a HungVM:Send_NMI_To_Guest`); the ESXCLI reference (`vm process
list`); vm-support's own use of `vmdumper WORLD nmi`, which prints `Sending NMI to guest...`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field

from collector.adapters.answers import CommandResult, NmiAnswer, NmiOutcome, PowerState
from collector.adapters.limits import Deadline
from collector.adapters.ssh import SshChannel, SshEndpoint
from collector.errors import AdapterError, CollectorError, InventoryError, PeerFailedError
from collector.model.host import Credential, Endpoint

_ABSENT = b"hang-collector: not on this host"
"""What the shell says for us where the tool is missing. Its exit status 127 alone proves nothing: a tool that
acts and then misses one of its own ends with it, too."""
_SENT = b"Sending NMI to guest"
_WORLD = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"[^0-9a-f]")
_LIMIT = 4 * 1024 * 1024  # bytes of an answer
_SHOWN = 200  # characters of one


class EsxiVmEndpoint(SshEndpoint):
    """A virtual machine, reached through SSH on the ESXi host that runs it."""

    type: Literal["esxi-vm"] = Field(  # type: ignore[assignment]
        default="esxi-vm", description="A machine on ESXi, through the host's shell."
    )
    vm: str = Field(min_length=1, max_length=200, description="The machine's display name, or its UUID.")
    way: Literal["vmdumper", "vm-support"] = Field(
        default="vmdumper",
        description="vm-support sends the NMI after a minute and writes its bundle to standard output.",
    )

    @property
    def nmi_target(self) -> str:
        """The machine, not the host: several machines share one endpoint."""
        return f"{self.identity}/{self.vm.casefold()}"


@dataclass(frozen=True, slots=True)
class Process:
    """A running machine, as `esxcli vm process list` shows it; its world is another after each start."""

    world: str
    name: str
    uuid: str
    config_file: str


class EsxiVmController:
    """Implements `Adapter`, `Power`, `NmiInjector` and `Notices`; raises on entry as `SshChannel` does."""

    settings: ClassVar[type[Endpoint]] = EsxiVmEndpoint

    def __init__(self, endpoint: Endpoint, credential: Credential | None, deadline: Deadline) -> None:
        assert isinstance(endpoint, EsxiVmEndpoint)
        self._endpoint = endpoint
        self._host = SshChannel(endpoint, credential, deadline)
        self._open = False

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user must be told of this connection, such as a host key that nobody verified."""
        return self._host.notices

    def __enter__(self) -> Self:
        self._host.__enter__()
        self._open = True
        return self

    def __exit__(self, *exc: object) -> None:
        self._open = False
        self._host.__exit__(*exc)

    def power_state(self, deadline: Deadline) -> PowerState:
        """On while the host lists it: a machine that is off, suspended, or on another host is not listed."""
        return PowerState.ON if self._find(deadline) else PowerState.UNKNOWN

    def send_nmi(self, deadline: Deadline) -> NmiAnswer:
        """Find the machine's world, and run one command for it once."""
        if not self._open or deadline.expired:
            why = "the time was up" if deadline.expired else "there is no session with the host any more"
            return NmiAnswer(NmiOutcome.NOT_SENT, f"nothing was sent: {why}")
        try:
            machine = self._find(deadline)
        except CollectorError as error:
            return NmiAnswer(NmiOutcome.NOT_SENT, f"the host was not asked for an NMI: {error.message}")
        if machine is None:
            where = self._endpoint.address
            return NmiAnswer(NmiOutcome.NOT_SENT, f"{self._endpoint.vm!r} does not run on {where}")
        try:
            return judge(self._host.run(self._command(machine), deadline, limit=_LIMIT), self._endpoint.way)
        except AdapterError as error:
            return NmiAnswer(NmiOutcome.UNCERTAIN, f"the command may have run, and then {error.message}")

    def _command(self, machine: Process) -> str:
        way = self._endpoint.way
        if way == "vmdumper":
            act = f"vmdumper {machine.world} nmi"
        else:
            # The bundle is of no use here, and there may be no room for it on the host.
            place = shlex.quote(f"--vm={machine.config_file}")
            act = f"vm-support -s -a HungVM:Send_NMI_To_Guest {place} >/dev/null"
        return f"if command -v {way} >/dev/null; then {act}; else echo '{_ABSENT.decode()}'; false; fi"

    def _find(self, deadline: Deadline) -> Process | None:
        """The running machine that the endpoint names. Raises: InventoryError, AdapterError."""
        answer = self._host.run("esxcli vm process list", deadline, limit=_LIMIT)
        if answer.exit_status != 0:
            raise PeerFailedError(
                f"esxcli ended with exit status {answer.exit_status}: {_said(answer.stderr)}",
                hint="If hostd hangs on this host, so does esxcli.",
            )
        wanted = self._endpoint.vm
        found = [each for each in processes(answer.stdout) if wanted == each.name or _same(wanted, each.uuid)]
        if len(found) > 1:
            raise InventoryError(
                f"{len(found)} machines on {self._endpoint.address} are named {wanted!r}",
                hint="Name it by its UUID: " + ", ".join(each.uuid for each in found[:5]),
            )
        return found[0] if found else None


def processes(listing: bytes) -> Iterator[Process]:
    """The machines of `esxcli vm process list`; blocks that lack what is needed are passed over.

    A block begins with the machine's name, which may hold anything, colons included; its lines are indented.
    """
    for block in listing.decode("utf-8", "replace").replace("\r\n", "\n").split("\n\n"):
        pairs = (line.strip().partition(": ") for line in block.splitlines() if line.startswith(" "))
        values = {key: text.strip() for key, _, text in pairs}
        world, name = values.get("World ID", ""), values.get("Display Name", "")
        if _WORLD.fullmatch(world) and name:
            yield Process(world, name, values.get("UUID", ""), values.get("Config File", ""))


def judge(answer: CommandResult, way: str) -> NmiAnswer:
    """What the command's end proves: its own words are an acknowledgement, only its absence is a refusal."""
    if answer.exit_status != 0 and answer.stdout.strip() == _ABSENT:
        return NmiAnswer(NmiOutcome.NOT_SENT, f"the host has no {way}")
    said = _said(answer.stdout + b" " + answer.stderr)
    if answer.exit_status == 0 and (way == "vm-support" or _SENT in answer.stdout + answer.stderr):
        return NmiAnswer(NmiOutcome.SENT, f"{way} ended: {said or 'without a word'}")
    return NmiAnswer(
        NmiOutcome.UNCERTAIN, f"{way} may have acted, and ended with status {answer.exit_status}: {said}"
    )


def _same(wanted: str, uuid: str) -> bool:
    """`4230f9ee-a22a-...` and `42 30 f9 ee a2 2a 3c e0-02 33 ...` are one."""
    digits = _HEX.sub("", wanted.lower())
    return len(digits) == 32 and digits == _HEX.sub("", uuid.lower())  # noqa: PLR2004 - digits of a UUID


def _said(output: bytes) -> str:
    text = " ".join(output.decode("utf-8", "replace").split())[:_SHOWN]
    return "".join(char for char in text if char.isprintable())
