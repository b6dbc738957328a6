"""A chain and a suspect in words, the same on the screen, in a page and in a case's report."""

from __future__ import annotations

from collector.case.wording import span
from collector.triage import linux_result
from collector.triage.suspects import Suspect
from collector.triage.waitgraph import Chain, Link, seconds


def waiting(link: Link) -> str:
    """Who waits, since when, on what, in whose code, and the line that says so."""
    process = f" of {link.node.process}" if link.node.process else ""
    place = f", in {link.node.at}" if link.node.at else ""
    line = f" [line {link.line}{'; the next step is likely, not stated' if link.inferred else ''}]"
    return f"{thread_name(link)}{process} {waits_on(link) or 'is not shown in the log'}{place}{line}"


def waits_on(link: Link) -> str:
    """What it waits on and for how long; empty when the log does not show that it waits."""
    waited = seconds(link)
    since = "" if waited is None else f" for {span(waited)}"
    return f"waits{since} on {link.wait.on} {object_name(link)}".rstrip() if link.wait else ""


def behind(chain: Chain) -> str:
    """How many stand behind the end of a chain."""
    if chain.cycle:
        return "the last waits for the first: a deadlock"
    return f"{chain.behind} thread(s) wait behind the last one"


def thread_name(link: Link) -> str:
    """The thread's address, else its ids, else how many threads it stands for."""
    thread = link.node.thread
    if thread is None:
        return link.node.label or f"({link.node.count} waiters)"
    if thread.address is not None:
        return f"{thread.address:08x}"
    return f"{thread.process_id or 0:04x}.{thread.thread_id or 0:04x}"


def object_name(link: Link) -> str:
    """What it waits on: the lock's symbol beside its address."""
    if link.wait is None or link.wait.object is None:
        return link.symbol
    return f"{link.wait.object:08x} {link.symbol}".strip()


def named(suspect: Suspect) -> str:
    """The suspect in a few words."""
    who = suspect.module or suspect.process or suspect.lock or suspect.detail or "unknown"
    if suspect.kind == "unknown_lock_owner":
        who = f"the unknown owner of {suspect.lock}"
    if suspect.kind == "collection":
        who = suspect.detail
    if who == "unknown":
        who = suspect.kind.replace("_", " ")
    if suspect.kind == "machine":
        who = f"another machine, which {suspect.process or 'a process'} waits for"
    parts = [f"{suspect.kind} {who}" if suspect.kind in {"driver", "module", "process"} else who]
    if suspect.vendor:
        parts.append(f"by {suspect.vendor}")
    if suspect.process and suspect.process not in who:
        parts.append(f"in {suspect.process}")
    if suspect.also:
        parts.append(f"together with {', '.join(suspect.also)}")
    if suspect.tag:
        parts.append(f"pool tag {suspect.tag}")
    return ", ".join(parts)


def linux_waiting(link: linux_result.Link) -> str:
    """What a task of a chain of a Linux dump waits for or holds, and in which function."""
    does = f"waits for {link.lock}" if link.lock else f"holds it, in state {link.task.state}"
    return f"{link.task.label} {does}, in {link.function or '?'}"


def linux_named(suspect: linux_result.Suspect) -> str:
    """The function that hangs a Linux machine, whose it is, and why we say so."""
    return f"{suspect.function or 'a function that is not known'}: {suspect.task} {suspect.reason}"
