"""Dumps as text: the verdict first, then what the dump says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from collector.case.wording import size, span
from collector.dump.report import DumpReport
from collector.render.console import err, out, plain, word
from collector.render.text import printable
from collector.run.inspect import Inspected


def inspected(dumps: Sequence[Inspected]) -> None:
    """One block a dump."""
    console = out()
    for dump in dumps:
        report = dump.verdict.report
        console.print(plain(f"{dump.path.name}:"), word(report.state), end=": ")
        console.print(plain(report.reason), soft_wrap=True)
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column()
        table.add_column(overflow="fold")
        for name, value in _facts(report):
            table.add_row(plain(name), plain(value))
        if dump.look and dump.look.command_line:
            table.add_row("command line", plain(dump.look.command_line))
        console.print(table)
        for line in dump.look.telling if dump.look else ():
            console.print(plain(line), soft_wrap=True)
        if dump.trouble:
            console.print(plain(f"kernel log: {dump.trouble}"), soft_wrap=True)
        for text in (
            dump.verdict.origin,
            dump.verdict.note,
            dump.verdict.remedy and f"next: {dump.verdict.remedy}",
        ):
            if text:
                console.print(plain(text), soft_wrap=True)
        console.print()


def logs(dumps: Sequence[Inspected]) -> None:
    """The kernel log of each dump, as `dmesg` prints it, and nothing else; what is wrong on stderr."""
    for dump in dumps:
        for record in dump.look.log if dump.look else ():
            print(printable(str(record)))
        if dump.look is None or dump.trouble:
            err().print(plain(f"{dump.path.name}: {dump.trouble or 'it is no dump of a Linux kernel'}"))


def _facts(report: DumpReport) -> Iterator[tuple[str, str]]:
    """What is known, by name; nothing is shown as unknown."""
    identity = report.identity
    yield "format", str(report.format)
    expected = "" if report.expected_size in (None, report.size) else f"; {report.expected_size} are expected"
    yield "size", f"{report.size} bytes ({size(report.size)}){expected}"
    if report.missing:
        yield "missing", report.missing
    if identity.crash_time:
        yield "crashed", f"{identity.crash_time:%Y-%m-%d %H:%M:%S} UTC"
    if identity.uptime is not None:
        yield "uptime", span(identity.uptime)
    if identity.cause:
        yield "cause", f"{identity.cause.code}: {identity.cause.meaning}"
    for name, value in (
        ("host", identity.hostname),
        ("system", identity.kernel_release),
        ("machine", identity.architecture),
        ("CPUs", identity.cpus),
    ):
        if value:
            yield name, str(value)
    if identity.memory:
        yield "memory", size(identity.memory)
    for detail, content in identity.details.items():
        yield detail.replace("_", " "), str(content)
