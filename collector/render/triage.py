"""The answer of a triage: on one screen, or as JSON with the line of evidence behind each claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from collector.render import triage_linux
from collector.render.console import out, plain, word
from collector.render.json import _print
from collector.run.triage import CaseTriage
from collector.triage.answer import Answer
from collector.triage.patterns import CATALOG, Finding
from collector.triage.suspects import Suspect
from collector.triage.waitgraph import Chain, Link, seconds
from collector.triage.wording import behind, named, thread_name, waiting

_SHOWN_CHAINS = 3
_SHOWN_LINKS = 20
_SHOWN_OF_A_KIND = 3
_SHOWN_LINES = 4


def answer(found: Answer) -> None:
    """Chains, suspect, how sure, findings, what is missing, what to do next."""
    console = out()
    for chain in found.chains[:_SHOWN_CHAINS]:
        _chain(chain)
    if len(found.chains) > _SHOWN_CHAINS:
        console.print(f"… and {len(found.chains) - _SHOWN_CHAINS} more chain(s); --format json shows all\n")
    if found.suspect is not None:
        console.print("suspect:", plain(named(found.suspect)), style="bold")
        console.print(plain(f"how sure: {found.sureness}: {found.why}"), soft_wrap=True)
    if found.findings:
        console.print(_findings(found))
    else:
        console.print("no known pattern of a hang in this log", style="green")
    known = [f"{one.module}: {one.title} ({one.source})" for one in found.advisories]
    _list("what its maker has written:", known)
    _list("to be sure, run in the debugger:", found.missing)
    _list("next:", found.next_steps)


def _chain(chain: Chain) -> None:
    console = out()
    for number, link in enumerate(chain.links[:_SHOWN_LINKS], 1):
        console.print(plain(f"{number}. {waiting(link)}"), soft_wrap=True)
    if len(chain.links) > _SHOWN_LINKS:
        console.print(f"… and {len(chain.links) - _SHOWN_LINKS} more; --format json shows all")
    console.print(behind(chain))
    console.print()


def _list(title: str, items: Sequence[str]) -> None:
    if items:
        out().print(title)
    for item in items:
        out().print(plain(f"  {item}"), soft_wrap=True)


def _findings(found: Answer) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("finding", "what the log says", "lines"):
        table.add_column(column, overflow="fold")
    shown = Counter[str]()
    for finding in found.findings:
        shown[finding.pattern] += 1
        if shown[finding.pattern] <= _SHOWN_OF_A_KIND:
            more = " …" if len(finding.lines) > _SHOWN_LINES else ""
            lines = ", ".join(str(line) for line in finding.lines[:_SHOWN_LINES]) + more
            table.add_row(word(finding.pattern), plain(finding.words), lines)
    for pattern, count in shown.items():
        if count > _SHOWN_OF_A_KIND:
            table.add_row(word(pattern), f"… and {count - _SHOWN_OF_A_KIND} more", "")
    return table


def as_table(found: CaseTriage) -> None:
    """Each answer on a screen; the file's name first when there are several."""
    several = len(found.logs) + bool(found.vmcore) > 1
    for path, one in found.logs:
        if several:
            out().print(plain(path.name), style="bold underline")
        answer(one)
    if found.vmcore is not None:
        path, dump = found.vmcore
        if several:
            out().print(plain(path.name), style="bold underline")
        triage_linux.as_table(dump)


def as_json(found: CaseTriage) -> None:
    """The first log's answer, and all under `logs`. `chain` is the gravest, `chains` are all.

    A Linux dump has a document of its own; it is under `vmcore` when there are logs too.
    """
    logs = [{"file": path.name, **document(one)} for path, one in found.logs]
    dump = triage_linux.document(found.vmcore[1]) if found.vmcore is not None else None
    if not logs:
        _print("hang-collector/triage-linux/1", dump or {})
        return
    more = {"vmcore": dump} if dump else {}
    _print("hang-collector/triage/1", {**logs[0], "logs": logs if len(logs) > 1 else [], **more})


def document(found: Answer) -> dict[str, object]:
    """The answer as plain data."""
    chains = [_chain_data(chain) for chain in found.chains]
    return {
        "lines": found.lines,
        "patterns": list(found.patterns),
        "culprit": None if found.suspect is None else _suspect_data(found.suspect),
        "sureness": found.sureness.value,
        "why": found.why,
        "chain": chains[0]["links"] if chains else [],
        "chains": chains,
        "findings": [_finding_data(finding) for finding in found.findings],
        "numbers": {key: value for one in reversed(found.findings) for key, value in one.figures.items()},
        "missing": list(found.missing),
        "next": list(found.next_steps),
        "advisories": [
            {"module": one.module, "title": one.title, "version": one.version, "source": one.source}
            for one in found.advisories
        ],
    }


def _chain_data(chain: Chain) -> dict[str, object]:
    return {
        "deadlock": chain.cycle,
        "behind": chain.behind,
        "links": [_link_data(link) for link in chain.links],
    }


def _link_data(link: Link) -> dict[str, object]:
    thread, wait = link.node.thread, link.wait
    ids = thread is not None and thread.process_id is not None and thread.thread_id is not None
    return _present(
        {
            "thread": thread_name(link),
            "process": link.node.process,
            "cid": f"{thread.process_id:04x}.{thread.thread_id:04x}" if thread and ids else link.node.label,
            "process_addr": f"{thread.process:08x}" if thread and thread.process is not None else "",
            "waits_on": wait.on.value if wait else "",
            "object": f"{wait.object:08x}" if wait and wait.object is not None else link.symbol,
            "symbol": link.symbol,
            "wait_s": seconds(link),
            "blocked_in": link.node.at,
            "owner": f"{wait.owner:08x}" if wait and wait.owner is not None else "",
            "count": link.node.count if link.node.count > 1 else None,
            "inferred": link.inferred,
            "line": link.line,
        }
    )


def _suspect_data(suspect: Suspect) -> dict[str, object]:
    return _present(
        {
            "kind": suspect.kind,
            "module": suspect.module or None,
            "also": list(suspect.also),
            "vendor": suspect.vendor,
            "process": suspect.process,
            "thread": f"{suspect.thread:08x}" if suspect.thread is not None else "",
            "lock": suspect.lock,
            "tag": suspect.tag,
            "detail": suspect.detail,
            "line": suspect.line,
        }
    )


def _finding_data(finding: Finding) -> dict[str, object]:
    entry = CATALOG[finding.pattern]
    return {
        "pattern": finding.pattern,
        "title": entry.title,
        "words": finding.words,
        "lines": list(finding.lines),
        "meaning": entry.meaning,
        "remedy": entry.remedy,
        "source": entry.source,
        "figures": dict(finding.figures),
    }


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    """Without the fields that the log says nothing about."""
    return {key: value for key, value in fields.items() if value not in ("", None, [], False)}
