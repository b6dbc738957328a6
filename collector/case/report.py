"""The report of a case, as Markdown and as one HTML file that needs no network.

Whatever came from a remote side is shown and does nothing: HTML is escaped by the template engine,
Markdown by `wording`, and control characters stand there as escapes. The HTML forbids itself, by a
content security policy, to load or run anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collector.case import wording
from collector.case.folder import CaseFolder
from collector.case.journal import Entry
from collector.case.storage import write_atomically
from collector.case.story import Story, tone

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def write_report(case: CaseFolder) -> None:
    """Write `report.md` and `report.html` from the journal, at whatever stage the case is.

    Raises:
        JournalError: the journal cannot be trusted.
        StorageError: no space, or no right to write.
    """
    entries = case.journal.entries()
    write_atomically(case.path / "report.md", markdown(case.name, entries).encode("utf-8"))
    write_atomically(case.path / "report.html", html(case.name, entries).encode("utf-8"))


def markdown(name: str, entries: Sequence[Entry]) -> str:
    """The report as Markdown (CommonMark with GitHub's tables).

    Args:
        name: the case's id.
        entries: the journal, oldest first.
    """
    return _environment().get_template("report.md.j2").render(story=Story(name, entries))


def html(name: str, entries: Sequence[Entry]) -> str:
    """The report as one HTML file; arguments as for `markdown`."""
    return _environment().get_template("report.html.j2").render(story=Story(name, entries))


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("collector.case"),
        autoescape=select_autoescape(enabled_extensions=["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "md": wording.markdown,
        "code": wording.code,
        "md_prose": _prose_as_markdown,
        "html_prose": _prose_as_html,
        "tone": tone,
    }
    return environment


def _prose_as_markdown(text: str) -> str:
    """A sentence whose commands are between backticks."""
    parts = text.split("`")
    return "".join(wording.code(p) if i % 2 else wording.markdown(p) for i, p in enumerate(parts))


def _prose_as_html(text: str) -> Markup:
    from markupsafe import Markup, escape

    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else p for i, p in enumerate(parts))
