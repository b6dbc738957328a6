"""What a playbook may say: for which hosts it is, and what each stage of a run does with them.

Durations are text with one unit (`30s`, `5m`, `6h`) and become seconds. A bare number is refused: nobody
should have to guess whether `60` were seconds or minutes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from collector.model.host import Platform

LONGEST = 7 * 24 * 3600.0
"""Seconds. Whoever writes a longer deadline than a week means none, and every wait has one."""

_DURATION = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)([smh])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(value: object) -> float:
    """Turn `30s`, `5m` or `6h` into seconds.

    Raises:
        ValueError: the value is no such text, or is longer than a week.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a number with its unit: 30s, 5m, 6h")
    seconds = round(float(match[1]) * _SECONDS[match[2]], 3)
    if seconds > LONGEST:
        raise ValueError("the longest duration is a week: 168h")
    return seconds


def format_duration(seconds: float) -> str:
    """Write seconds the way a playbook does, in the largest unit that leaves a whole number."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


Pause = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["30s", "5m", "6h"]}),
]
"""Seconds; may be zero."""

Duration = Annotated[Pause, AfterValidator(_above_zero)]
"""Seconds, more than zero."""


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line without control characters")
    return text


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must be an absolute path")
    if {"..", "**"} & set(path.split("/")):
        raise ValueError("must not contain '..' or '**'")
    return path


def _without_wildcards(path: str) -> str:
    if set(path) & set("*?["):
        raise ValueError("must name one file, without wildcards")
    return path


Line = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]
PathPattern = Annotated[Line, AfterValidator(_absolute)]
"""An absolute path on the host; `*`, `?` and `[...]` match within one path segment."""
FilePath = Annotated[PathPattern, AfterValidator(_without_wildcards)]
NamePattern = Annotated[Line, Field(pattern=r"^[^/]+$")]
"""A pattern for the name of a file, without its folder."""
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
EventLogName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._()/-]*$", max_length=255)]
"""Such as `System` or `Microsoft-Windows-Kernel-WHEA/Operational`."""
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)]


class Evidence(StrEnum):
    """What a controller can tell before the NMI; each one is a capability Protocol of the adapters."""

    POWER = "power"
    CLOCK = "clock"  # by which the controller dates its events
    EVENT_LOG = "event-log"
    WATCHDOG = "watchdog"
    STOP_SENSORS = "stop-sensors"
    GUEST = "guest"
    HOST = "host"  # an ESXi host as its vCenter sees it, and what happened to it
    SCREEN = "screen"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class When(_Part):
    """Which hosts the playbook is for: a platform, and one controller and one channel of these types."""

    platform: Platform | tuple[Platform, ...] = Field(description="One, or several in brackets.")
    controllers: tuple[Word, ...] = Field(min_length=1)
    channels: tuple[Word, ...] = Field(min_length=1)

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """All of them."""
        return self.platform if isinstance(self.platform, tuple) else (self.platform,)


class ProbeStep(_Part):
    """Is it hung? Ask every service, several times, because one silence proves nothing."""

    rounds: int = Field(ge=1, le=20)
    pause: Pause = Field(description="Between two rounds.")
    deadline: Duration = Field(description="Of one round.")


class PreflightStep(_Part):
    """Would an NMI now lead to a dump?"""

    deadline: Duration


class EvidenceStep(_Part):
    """Keep what the crash will wipe out."""

    deadline: Duration
    collect: tuple[Evidence, ...] = Field(description="In this order.")


class Act(StrEnum):
    """What makes the dump."""

    NMI = "nmi"  # the host crashes and dumps by itself
    SNAPSHOT = "snapshot"  # its memory is written to files from outside, and it goes on


class TriggerStep(_Part):
    """Send the one NMI, or take the one snapshot."""

    act: Act = Act.NMI
    deadline: Duration = Field(
        description="For the controller's answer; there is no second attempt. Of a snapshot, for its files."
    )


class WaitStep(_Part):
    """Wait for the dump, or for the proof that none was made."""

    deadline: Duration
    every: Duration = Field(description="Between two looks.")
    grace: Pause = Field(description="How long a dump may still appear after the host is back.")


A_DAY = 24 * 3600.0
"""Seconds."""

SOURCES = ("command", "file", "event_log", "cluster_log", "bundle")
"""Where a log may come from."""


class LogSource(_Part):
    """One log that is fetched once the host is back.

    It is what a command says, a file, what Windows exports, or a support bundle.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in SOURCES]})

    name: FileName = Field(description="Its name in the case folder.")
    command: Line | None = Field(default=None, description="Run in the login shell; must only read.")
    file: FilePath | None = None
    event_log: EventLogName | None = Field(
        default=None, description="A log of Windows by its full name: its events around the incident."
    )
    cluster_log: Literal[True] | None = Field(
        default=None, description="What this node's cluster service did; Windows writes it when it is asked."
    )
    before: Duration = Field(
        default=A_DAY, description="How long before the incident an event log or cluster log begins."
    )
    bundle: Literal[True] | None = Field(
        default=None,
        description="What the server of a controller packs for the makers' support; it writes a file there.",
    )
    unless: FileName | None = Field(
        default=None, description="Fetched only where this other log, listed before, did not come home whole."
    )
    stream: bool = Field(
        default=False, description="The command's output is large: it goes to disk as it comes."
    )
    deadline: Duration = Field(
        default=30.0,
        description="Of a stream: how long it may be silent. Of a bundle: how long making it may take.",
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(getattr(self, name) is not None for name in SOURCES) != 1:
            raise ValueError(f"needs exactly one of {', '.join(map(repr, SOURCES))}")
        if self.before != A_DAY and not (self.event_log or self.cluster_log):
            raise ValueError("'before' is for an 'event_log' or the 'cluster_log'")
        if self.stream and self.command is None:
            raise ValueError("only the output of a 'command' is streamed")
        return self


class RetrieveStep(_Part):
    """Bring the dump and the logs home."""

    deadline: Duration
    stall: Duration = Field(
        description="A copy without a single byte for this long is given up, to be resumed."
    )
    dumps: tuple[PathPattern, ...] = Field(
        default=(),
        description="Where a whole dump lies. A snapshot names its files itself; without any, nobody looks "
        "into the host, and a 'bundle' is fetched once it is back.",
    )
    unfinished: tuple[PathPattern, ...] = Field(
        default=(), description="Names a dump has while it is written."
    )
    beside: tuple[NamePattern, ...] = Field(default=(), description="Small files in the dump's own folder.")
    logs: tuple[LogSource, ...] = ()

    @model_validator(mode="after")
    def _names_each_log_once(self) -> Self:
        # Folded, because Windows and macOS take `Dmesg.txt` and `dmesg.txt` for one file.
        names = Counter(log.name.lower() for log in self.logs)
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"two logs are named {twice[0]!r}")
        before: set[str] = set()
        for log in self.logs:
            if log.unless is not None and log.unless not in before:
                raise ValueError(f"no log before {log.name!r} is named {log.unless!r}")
            before.add(log.name)
        return self


class ValidateStep(_Part):
    """Is the dump whole? Reads what is home already, so there is nobody to wait for and no deadline."""


class Steps(_Part):
    """The stages, in the order in which they run."""

    probe: ProbeStep
    preflight: PreflightStep
    evidence: EvidenceStep
    trigger: TriggerStep
    wait: WaitStep | None = Field(default=None, description="There is nothing to wait for after a snapshot.")
    retrieve: RetrieveStep
    validation: ValidateStep = Field(alias="validate")  # `validate` is a method of every pydantic model

    @model_validator(mode="after")
    def _finds_the_dump(self) -> Self:
        crashes = self.trigger.act is Act.NMI
        if crashes and self.wait is None:
            raise ValueError("after an NMI the run must 'wait'")
        if crashes and not self.retrieve.dumps and not any(log.bundle for log in self.retrieve.logs):
            raise ValueError("'retrieve' must say where the 'dumps' lie, or fetch a 'bundle'")
        if not crashes and (self.wait is not None or self.retrieve.dumps):
            raise ValueError("a snapshot names its files itself: leave out 'wait' and 'dumps'")
        return self


class Playbook(_Part):
    """What to do with a hung host, in which order, and how long each stage may take."""

    name: Word
    summary: Line
    when: When
    steps: Steps

    @model_validator(mode="after")
    def _asks_windows_alone_for_its_logs(self) -> Self:
        exported = any(log.event_log or log.cluster_log for log in self.steps.retrieve.logs)
        if exported and set(self.when.platforms) != {Platform.WINDOWS}:
            raise ValueError("only Windows has an 'event_log' or a 'cluster_log'")
        return self


def json_schema() -> str:
    """The JSON Schema of a playbook, for editors; `docs/playbook.schema.json` holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Playbook.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"
