"""The answer of a triage in plain sentences: what a case keeps of it in its journal and its report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from collector.triage.answer import Answer
from collector.triage.linux_result import LinuxTriage
from collector.triage.wording import behind, linux_named, linux_waiting, named, waiting

_MOST_CHAINS = 3
_MOST_LINKS = 20
_MOST_FINDINGS = 40
_LONGEST = 1000
"""Characters kept of a sentence: a report is read by people, and the log itself is in the case."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a log or a dump says. Each chain is its steps, the waiter first, and how many wait behind."""

    suspect: str
    sureness: str
    why: str
    chains: tuple[tuple[str, ...], ...]
    findings: tuple[str, ...]
    missing: tuple[str, ...]
    next_steps: tuple[str, ...]


def of_log(found: Answer) -> Summary:
    """Sum up the answer of a debugger's log."""
    return Summary(
        suspect=named(found.suspect)[:_LONGEST] if found.suspect else "",
        sureness=found.sureness if found.suspect else "",
        why=found.why,
        chains=tuple(
            _steps((waiting(link) for link in chain.links), len(chain.links), behind(chain))
            for chain in found.chains[:_MOST_CHAINS]
        ),
        findings=_kept(
            f"{one.pattern}: {one.words} [line {', '.join(map(str, one.lines[:4]))}]"
            for one in found.findings
        ),
        missing=_kept(found.missing),
        next_steps=_kept(found.next_steps),
    )


def of_vmcore(found: LinuxTriage) -> Summary:
    """Sum up what a Linux dump says."""
    chains = [chain for chain in found.chains if chain.waiting or chain.deadlock]
    return Summary(
        suspect=linux_named(found.suspects[0])[:_LONGEST] if found.suspects else "",
        sureness="",
        why="" if found.suspects else "no CPU is stuck, and no task waits uninterruptibly",
        chains=tuple(
            _steps(
                map(linux_waiting, chain.links),
                len(chain.links),
                "the last waits for one before it: a deadlock"
                if chain.deadlock
                else f"{chain.waiting} task(s) wait behind the last one",
            )
            for chain in chains[:_MOST_CHAINS]
        ),
        findings=_kept(
            (
                *(f"suspect: {linux_named(one)}" for one in found.suspects[1:]),
                *(f"{line.highlight}: {line.text}" for line in found.highlights),
            )
        ),
        missing=_kept(found.missing),
        next_steps=(),
    )


def _steps(links: Iterable[str], count: int, last: str) -> tuple[str, ...]:
    hidden = (f"… and {count - _MOST_LINKS} more",) if count > _MOST_LINKS else ()
    return (*(link[:_LONGEST] for link in islice(links, _MOST_LINKS)), *hidden, last)


def _kept(sentences: Iterable[str]) -> tuple[str, ...]:
    return tuple(sentence[:_LONGEST] for sentence in islice(sentences, _MOST_FINDINGS))
