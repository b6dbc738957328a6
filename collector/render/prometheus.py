"""Audits as metrics for node_exporter's textfile collector.

The format is the text format 0.0.4 (Prometheus, exposition formats). Samples carry no time, for the collector
refuses those that do; when a host was audited is a value of its own, so that an alert can ask how old it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from collector.model.audit import HostAudit
from collector.model.verdict import Level
from collector.render.text import printable

CODES = {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2, Level.UNKNOWN: 3}
"""Levels as numbers: the exit codes of a monitoring plugin (Monitoring Plugins guidelines, plugin output)."""

Samples = Iterable[tuple[dict[str, str], float]]


def metrics(audits: Sequence[HostAudit]) -> str:
    """One family after the other, each with its help and its type."""
    return "".join(
        line for name, (text, samples) in _FAMILIES.items() for line in _family(name, text, samples(audits))
    )


def _verdicts(audits: Sequence[HostAudit]) -> Samples:
    return [({"host": one.host, "platform": one.platform}, CODES[one.level]) for one in audits]


def _links(audits: Sequence[HostAudit]) -> Samples:
    return [({"host": a.host, "link": each.link}, CODES[each.level]) for a in audits for each in a.links]


def _answered(audits: Sequence[HostAudit]) -> Samples:
    return [({"host": one.host}, one.answered) for one in audits]


def _times(audits: Sequence[HostAudit]) -> Samples:
    return [({"host": one.host}, one.time.timestamp()) for one in audits]


def _bytes(audits: Sequence[HostAudit]) -> Samples:
    return [({"host": one.host}, one.estimate.bytes) for one in audits if one.estimate]


def _seconds(audits: Sequence[HostAudit]) -> Samples:
    return [({"host": one.host}, one.estimate.seconds) for one in audits if one.estimate]


_FAMILIES: dict[str, tuple[str, Callable[[Sequence[HostAudit]], Samples]]] = {
    "hang_collector_host_verdict": (
        "Would a hang of this host end in a usable dump? 0 ok, 1 warning, 2 critical, 3 unknown.", _verdicts,
    ),
    "hang_collector_link_verdict": (
        "How this link of the chain from the NMI to the dump holds; numbers as above.", _links,
    ),
    "hang_collector_host_answered": ("Whether the host or a controller of it answered.", _answered),
    "hang_collector_audit_timestamp_seconds": ("When the host was audited, in Unix time.", _times),
    "hang_collector_dump_estimated_bytes": ("How large its dump would be.", _bytes),
    "hang_collector_dump_estimated_seconds": ("How long it would take to write.", _seconds),
}  # fmt: skip


def _family(name: str, text: str, samples: Samples) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in samples:
        written = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"{name}{{{written}}} {float(value)!r}\n"


def _escaped(label: str) -> str:
    return printable(label).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
