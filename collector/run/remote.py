"""Finding files on the host by pattern, through a channel that can only list folders."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from collector.adapters.answers import FileKind, RemoteFile
from collector.adapters.base import Files
from collector.adapters.limits import Deadline


def find(
    files: Files, patterns: Sequence[str], deadline: Deadline, *, fold: bool = False
) -> list[RemoteFile]:
    """Every file that matches one of the absolute `patterns`, by path, without doubles.

    `*` and `?` match within one path component, as in a shell. Folders that are absent match nothing.
    With `fold`, upper and lower case are one, as on Windows.

    Raises:
        AdapterError: the channel failed; an empty answer always means that there is nothing.
    """
    found = {file.path: file for pattern in patterns for file in _match(files, pattern, deadline, fold)}
    return [found[path] for path in sorted(found)]


def _match(files: Files, pattern: str, deadline: Deadline, fold: bool) -> Iterator[RemoteFile]:
    *folders, last = PurePosixPath(pattern).parts[1:]
    parents = ["/"]
    for part in folders:
        if _is_plain(part):
            parents = [str(PurePosixPath(parent, part)) for parent in parents]
        else:
            parents = [
                entry.path
                for parent in parents
                for entry in _children(files, parent, part, deadline, fold)
                if entry.kind is FileKind.FOLDER
            ]
    for parent in parents:
        yield from (e for e in _children(files, parent, last, deadline, fold) if e.kind is FileKind.FILE)


def _children(files: Files, folder: str, pattern: str, deadline: Deadline, fold: bool) -> list[RemoteFile]:
    try:
        entries = files.list(folder, deadline)
    except FileNotFoundError:
        return []
    return [e for e in entries if matches(PurePosixPath(e.path).name, pattern, fold=fold)]


def matches(name: str, pattern: str, *, fold: bool) -> bool:
    """True when a file's name fits the pattern; with `fold`, whatever the case of its letters."""
    if fold:
        name, pattern = name.lower(), pattern.lower()
    return fnmatch.fnmatchcase(name, pattern)


def _is_plain(part: str) -> bool:
    return not any(sign in part for sign in "*?[")
