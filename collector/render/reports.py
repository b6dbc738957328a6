"""Audits as files, in the formats that other programs read: `--report FORMAT:PATH`."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collector.errors import StorageError
from collector.model.audit import HostAudit

FORMATS = ("json", "prometheus", "junit", "html")


@dataclass(frozen=True, slots=True)
class Report:
    """One file to write, and how."""

    format: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Report:
        """Read `html:audit.html`.

        Raises:
            ValueError: no such format, or no path.
        """
        name, _, path = text.partition(":")
        if name not in FORMATS or not path:
            raise ValueError(f"{text!r} is not FORMAT:PATH with one of: {', '.join(FORMATS)}")
        return cls(name, Path(path))

    def check(self) -> None:
        """Refuse a path that cannot be written, before anything is asked whose answer would be lost.

        Raises:
            StorageError: its folder is not there, or may not be written.
        """
        folder = self.path.parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise StorageError(
                f"the report {self.path} cannot be written: its folder is not there, or not yours",
                hint="Make the folder, or name another.",
            )

    def write(self, audits: Sequence[HostAudit]) -> None:
        """Replace the file, so that a reader sees all of the old one or all of the new one.

        The worst come first. The file is as public as the umask allows: node_exporter is another user.

        Raises:
            StorageError: it cannot be written; the old one is still there.
        """
        data = _bytes(self.format, worst_first(audits))
        part = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")  # no *.prom, or it is read
        try:
            try:
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"the report {self.path} cannot be written: {error.strerror}",
                hint="Check its folder, and the space and the rights there.",
            ) from error


def worst_first(audits: Sequence[HostAudit]) -> list[HostAudit]:
    """By level, then by name, in which numbers count as such: web9 comes before web10."""
    return sorted(audits, key=lambda one: (one.level.rank, _name_and_numbers(one.host)))


def _name_and_numbers(host: str) -> list[str | int]:
    """Text at even places, numbers at odd ones, so that two hosts can be compared."""
    parts = re.split(r"([0-9]+)", host)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def _bytes(name: str, audits: Sequence[HostAudit]) -> bytes:
    if name == "junit":
        from collector.render.junit import junit

        return junit(audits)
    if name == "prometheus":
        from collector.render.prometheus import metrics

        return metrics(audits).encode()
    if name == "html":
        from collector.render.html_audit import page

        return page(audits, datetime.now(UTC)).encode()
    from collector.render.json import audits_text

    return audits_text(audits).encode()
