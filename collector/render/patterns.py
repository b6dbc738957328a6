"""The catalog of patterns as Markdown: a page for each, and one that leads to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collector.triage.advisories import shipped
from collector.triage.patterns import CATALOG, Pattern

INDEX = "README.md"

_HEAD = """\
# What can hang, and how does a log show it?

These are the patterns that [`hang-collector triage`](../triage.md) finds in a debugger's log or on a purple
screen, in the order in which it reports them. A healthy log shows none. The pages are made from the catalog
in `collector/triage/patterns/`.

| pattern | what it means |
|---|---|
"""

_ADVISORIES = """
## Hangs that a maker has written about

They are shown when one of their modules is the suspect, or stands in the stack at the end of a chain, and the
log does not name another version of Windows. The table is `collector/triage/data/advisories.yaml`.

| what hangs | modules | of | version | source |
|---|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    return {INDEX: _index(), **{f"{one.id}.md": "\n".join(_page(one)) + "\n" for one in CATALOG.values()}}


def write(folder: Path) -> None:
    """Make the pages anew, and remove those of patterns that are no more."""
    made = pages()
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


def _index() -> str:
    rows = (f"| [`{one.id}`]({one.id}.md) {one.title} | {one.meaning} |\n" for one in CATALOG.values())
    advisories = (
        f"| {one.title} | {', '.join(one.modules)} | {one.windows or 'any Windows'} | {one.version}"
        f" | {one.source} |\n"
        for one in shipped()
    )
    return _HEAD + "".join(rows) + _ADVISORIES + "".join(advisories)


def _page(one: Pattern) -> Iterator[str]:
    yield f"# {one.title}"
    yield ""
    yield f"`{one.id}`. {one.meaning}"
    yield ""
    yield "**How it is recognised.** " + " ".join((one.rule.__doc__ or "").split())
    yield ""
    yield f"**What to do.** {one.remedy}"
    yield ""
    yield f"**Source.** <{one.source}>"
    yield ""
    yield f"[All patterns]({INDEX})"
