"""A scripted machine, a case and a quick playbook: everything a whole run needs, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from collector.adapters.fake import MACHINES, FakeEndpoint, FakeMachine, Life, Script
from collector.adapters.registry import Connections
from collector.case.folder import CaseFolder
from collector.errors import ConfirmationError
from collector.lab.vmcore import kdump
from collector.model.host import Host, Platform
from collector.model.result import HostResult
from collector.playbook.schema import Playbook
from collector.probe.observation import Observation, Reach, Target
from collector.run.collect import Options, collect
from collector.run.incident import Incident, Silent

PLAYBOOK = {
    "name": "fast",
    "summary": "Everything at once, for tests.",
    "when": {"platform": "linux", "controllers": ["fake"], "channels": ["fake"]},
    "steps": {
        "probe": {"rounds": 2, "pause": "0s", "deadline": "1s"},
        "preflight": {"deadline": "5s"},
        "evidence": {
            "deadline": "5s",
            "collect": ["power", "event-log", "watchdog", "stop-sensors", "screen"],
        },
        "trigger": {"deadline": "0.3s"},
        "wait": {"deadline": "3s", "every": "0.02s", "grace": "0.3s"},
        "retrieve": {
            "deadline": "30s",
            "stall": "2s",
            "dumps": ["/var/crash/*/vmcore"],
            "unfinished": ["/var/crash/*/vmcore-incomplete"],
            "beside": ["vmcore-dmesg.txt"],
            "logs": [{"name": "dmesg.txt", "command": "dmesg"}],
        },
        "validate": {},
    },
}


def a_dump() -> bytes:
    """A small valid vmcore of a crash that happens now."""
    return kdump("db01", datetime.now(UTC), [(0.0, "Linux version 6.1.0")], filler_pages=16)


@dataclass
class Scene:
    """One fake host, and the runs against it."""

    folder: Path
    script: Script = field(default_factory=lambda: Script(dump=a_dump()))
    life: Life = Life.HUNG
    name: str = "db01"
    drill: bool = False

    def __post_init__(self) -> None:
        self.key = f"{self.folder}/{self.name}"
        self.machine = FakeMachine(self.name, self.script, self.life)
        self.machine.commands["dmesg"] = b"[    0.000000] Linux version 6.1.0\n"
        MACHINES[self.key] = self.machine
        endpoint = FakeEndpoint(machine=self.key, address="192.0.2.110")
        channel = FakeEndpoint(machine=self.key, address="192.0.2.10")
        self.host = Host(self.name, Platform.LINUX, "192.0.2.10", (endpoint,), (channel,))
        self.playbook = Playbook.model_validate(PLAYBOOK)
        self.case: CaseFolder | None = None

    def observe(self, targets: Sequence[Target], seconds: float) -> list[Observation]:
        """What the network would show of the machine at this moment."""
        reach = {
            Life.RUNNING: {"icmp": Reach.SPOKE, "ssh": Reach.PROVED},
            Life.HUNG: {"icmp": Reach.SPOKE, "ssh": Reach.CONNECTED},
            Life.DUMPING: {},
            Life.OFF: {},
        }[self.machine.now()]
        return [
            Observation(t.protocol, t.address, t.port, reach.get(t.protocol, Reach.SILENT), 0.01, {})
            for t in targets
        ]

    def incident(self, case: CaseFolder | None = None) -> Incident:
        """A fresh run, of a new case unless one is given."""
        if case is None:
            case = CaseFolder.create(self.folder / "cases", self.name, datetime.now(UTC))
            case.journal.append(
                "case.opened",
                host=self.name,
                address=self.host.address,
                platform="linux",
                playbook="fast",
                operator="tests",
                version="0",
                dry_run=False,
                drill=self.drill,
            )
        self.case = case
        return Incident(self.host, self.playbook, case, Connections({}, print), Silent(), self.observe)

    def collect(
        self, *, confirm: str = "db01", case: CaseFolder | None = None, **options: object
    ) -> HostResult:
        """Run to the end."""

        def ask(incident: Incident) -> str:
            if confirm != incident.host.name:
                raise ConfirmationError("no NMI was sent", hint="confirm", host=incident.host.name)
            return "test"

        return collect(self.incident(case), Options(**options), ask)  # type: ignore[arg-type]

    def events(self, name: str) -> list[dict[str, object]]:
        """The data of all journal entries of one event."""
        assert self.case is not None
        return [dict(entry.data) for entry in self.case.journal.entries() if entry.event == name]
