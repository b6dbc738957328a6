"""A Hyper-V host, as far as the scripts of the Hyper-V controller see one."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from collector.adapters.winrm_script import load
from tests.peers.wsman_powershell import Answer

ASKING = b'{"asking": "vmms"}\r\n'
NEVER = 3600.0


@dataclass
class Machine:
    """A machine as Get-VM shows it."""

    id: str
    state: str = "Running"
    heartbeat: str = "OkApplicationsUnknown"


@dataclass
class HypervHost:
    """What runs here, and what arrives. `answers` takes the place of a script's answer, by its name."""

    node: str = "HV02"
    machines: dict[str, list[Machine]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer | Callable[[Answer], Answer]] = field(default_factory=dict)
    nmis: list[str] = field(default_factory=list)

    def __call__(self, script: str, arguments: Mapping[str, str]) -> Answer:
        """Do what the script would."""
        name = next(name for name in _SCRIPTS if script == load(name))
        answer: Answer = getattr(self, f"_{name}")(**arguments)
        other = self.answers.get(name, answer)
        return other(answer) if callable(other) else other

    def _hyperv_find(self, vm: str) -> Answer:
        found = next((here for name, here in self.machines.items() if name.casefold() == vm.casefold()), [])
        machines = [{"id": machine.id, "state": machine.state} for machine in found]
        owners = [] if machines or vm not in self.owners else [self.owners[vm]]
        return asked({"node": self.node, "machines": machines, "owners": owners})

    def _hyperv_state(self, id: str) -> Answer:
        machine = self._machine(id)
        services = [{"name": "Heartbeat", "enabled": True, "status": "Ok"}]
        return asked(
            {
                "state": machine.state,
                "heartbeat": machine.heartbeat,
                "uptime": 86_400,
                "services": services,
            }
        )

    def _hyperv_nmi(self, id: str) -> Answer:
        machine = self._machine(id)
        if not machine.state.startswith("Running"):
            return answered({"outcome": "refused", "state": machine.state})
        self.nmis.append(id)
        return answered({"outcome": "sent"})

    def _hyperv_screen(self, id: str) -> Answer:
        self._machine(id)
        image = struct.pack("<6H", 0xF800, 0x07E0, 0x001F, 0xFFFF, 0, 0x8410) + bytes(4)
        line = base64.b64encode(image) + b"\r\n"
        shown = answered({"code": 0, "width": 3, "height": 2})
        return replace(shown, stdout=line + shown.stdout, early=ASKING)

    def _hyperv_events(self, id: str) -> Answer:
        log = "Microsoft-Windows-Hyper-V-Worker-Admin"
        text = "'SQL01' hat einen schwerwiegenden Fehler.\r\n(ID)"
        events = [
            {"id": "7", "code": 18590, "time": 133_769_088_000_000_000, "log": log, "text": text},
            {"id": "3", "code": 18500, "time": 133_769_087_000_000_000, "log": log, "text": id},
        ]
        return answered({"events": events})

    def _machine(self, identifier: str) -> Machine:
        everywhere = [machine for here in self.machines.values() for machine in here]
        return next(machine for machine in everywhere if machine.id.casefold() == identifier.casefold())


_SCRIPTS = ("hyperv_find", "hyperv_state", "hyperv_nmi", "hyperv_screen", "hyperv_events")


def answered(answer: Mapping[str, object], *, after: float = 0.0) -> Answer:
    """A script's answer in its last line."""
    return Answer(0, json.dumps(answer).encode() + b"\r\n", after=after)


def asked(answer: Mapping[str, object]) -> Answer:
    """The same, of a script that says first that it asks vmms."""
    return replace(answered(answer), early=ASKING)


def stuck(answer: Answer) -> Answer:
    """vmms does not answer."""
    return replace(answer, after=NEVER)
