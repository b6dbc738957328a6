"""The answer to "what hung it?": the chain, who is at its end, how sure that is, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from collector.triage.advisories import Advisory, matching
from collector.triage.kdlog import parse
from collector.triage.model import DebuggerLog
from collector.triage.modules import Modules, load
from collector.triage.patterns import CATALOG, Finding, View, findings
from collector.triage.script import missing
from collector.triage.suspects import Suspect, at_end
from collector.triage.waitgraph import Chain
from collector.triage.waits import WaitOn


class Sureness(StrEnum):
    """How far one may lean on the answer."""

    HIGH = "high"
    MODERATE = "moderate"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a log says, all in all. Every claim carries the numbers of the lines that show it."""

    lines: int
    chains: tuple[Chain, ...]
    findings: tuple[Finding, ...]
    suspect: Suspect | None
    sureness: Sureness
    why: str
    missing: tuple[str, ...]  # debugger commands that would finish the chain
    next_steps: tuple[str, ...]
    advisories: tuple[Advisory, ...] = ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The ids of the patterns that were found, each once."""
        return tuple(dict.fromkeys(finding.pattern for finding in self.findings))


def triage(lines: Iterable[str], extra: Path | None = None) -> Answer:
    """Read a debugger log and answer from it alone.

    Args:
        lines: the text.
        extra: a file like `data/modules.yaml` that adds to the table of modules.

    Raises:
        ConfigError: `extra` cannot be read.
    """
    return answer(parse(lines), load(extra))


def answer(log: DebuggerLog, modules: Modules) -> Answer:
    """Return the answer of a log that was read."""
    view = View(log, modules)
    found = tuple(findings(view))
    suspect = _suspect(view, found)
    sureness, why = _sureness(view, found, suspect)
    return Answer(
        lines=log.lines,
        chains=view.chains,
        findings=found,
        suspect=suspect,
        sureness=sureness,
        why=why,
        missing=missing(view),
        next_steps=_next_steps(found, suspect),
        advisories=matching(_named(view, suspect), log.system.version),
    )


_EXHAUSTED = ("paged_pool", "nonpaged_pool", "session_pool")
_BEFORE_CHAINS = ("bugcheck", "dpc_watchdog_single", "psod", "psod_machine_check", "spin_count_exceeded")
"""How the system ended says more than who waited at that moment."""


def _suspect(view: View, found: tuple[Finding, ...]) -> Suspect | None:
    """The one to look at first.

    A dump that is cut blames the collection, unless a chain still ends in somebody's code. A foreign
    module is a better answer than a process, and a process a better one than a pool.
    """
    named = [finding for finding in found if finding.suspect is not None]
    crash = next((one.suspect for one in named if one.pattern in _BEFORE_CHAINS), None)
    ends = [suspect for chain in view.chains if (suspect := at_end(chain, view.log, view.modules))]
    end = ends[0] if ends else None
    if crash is not None:
        return crash
    cut = next((one.suspect for one in named if one.pattern == "truncated_dump"), None)
    if end is not None and (end.kind in ("driver", "module", "machine", "deadlock") or cut is None):
        return end
    if cut is not None:
        return replace(cut, process=end.process) if end else cut
    return _without_chain([one.suspect for one in named if one.suspect is not None])


def _without_chain(suspects: list[Suspect]) -> Suspect | None:
    lock = next((one.lock for one in suspects if one.lock), "")
    for kinds in (("driver", "module"), ("process",), _EXHAUSTED, ("unknown_lock_owner",)):
        for one in suspects:
            if one.kind in kinds:
                return replace(one, lock=one.lock or lock)
    return suspects[0] if suspects else None


def _sureness(view: View, found: tuple[Finding, ...], suspect: Suspect | None) -> tuple[Sureness, str]:
    """The gravest doubt decides; without any, the answer is as sure as a log can make it."""
    if suspect is None:
        return Sureness.LOW, "nothing in the log waits for somebody, or is exhausted"
    patterns = {finding.pattern for finding in found}
    chain = view.chains[0] if view.chains else None
    end = chain.end.wait.on if chain and chain.end.wait else None
    doubts = (
        (bool(patterns & {"bugcheck", "psod"}) and suspect.kind == "driver", Sureness.MODERATE, _CRASHED),
        (suspect.kind == "unknown_lock_owner", Sureness.LOW, "who holds the lock is not in the log"),
        (suspect.kind == "collection", Sureness.MODERATE, "the dump is not whole, and shows what is not so"),
        (bool(patterns & _UNSOUND), Sureness.MODERATE, "the dump contradicts itself or is not whole"),
        (
            chain is None or suspect.kind in _EXHAUSTED,
            Sureness.MODERATE,
            "it follows from figures, not from a chain",
        ),
        (_inferred(chain), Sureness.MODERATE, "one step of the chain is likely, and not stated in the log"),
        (end in _REPLIES, Sureness.LOW, "the log does not show who works on the last request"),
        (suspect.kind == "process", Sureness.MODERATE, "no module can be named in the process at the end"),
    )
    certain = (True, Sureness.HIGH, "the log states every step of the chain and shows the stack at its end")
    return next((sureness, why) for applies, sureness, why in (*doubts, certain) if applies)


_CRASHED = "the stack of the crash names it; a crash shows where, and not always why"
_UNSOUND = frozenset({"inconsistent_dump", "lateral_damage", "truncated_dump"})
_REPLIES = (WaitOn.LPC, WaitOn.ALPC)


def _inferred(chain: Chain | None) -> bool:
    return chain is not None and any(link.inferred for link in chain.links)


def _named(view: View, suspect: Suspect | None) -> set[str]:
    """The suspect's module, and those on the stacks at the ends of the chains."""
    ends = [chain.end.node.thread for chain in view.chains]
    stacks = [thread.stack for thread in ends if thread and thread.stack]
    return {frame.module for stack in stacks for frame in stack.frames} | (
        {suspect.module} if suspect else set()
    )


def _next_steps(found: tuple[Finding, ...], suspect: Suspect | None) -> tuple[str, ...]:
    steps = []
    if suspect is not None and suspect.vendor:
        steps.append(f"Call {suspect.vendor}, who make {suspect.module}.")
    elif suspect is not None and suspect.module:
        steps.append(
            f"Find out who makes {suspect.module} (`lmv m {suspect.module}`), and ask for an update."
        )
    ids = dict.fromkeys(finding.pattern for finding in found)
    order = sorted(ids, key=lambda name: name.startswith(("wait_chain", "waiting_", "coupled_processes")))
    steps += [CATALOG[name].remedy for name in order]
    return tuple(dict.fromkeys(steps))[:6]
