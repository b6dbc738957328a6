"""The lab host's answer to the audit's script: its calls are played from the files, as a shell would."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Callable, Iterator

from collector.lab.tree import Tree

Run = Callable[[str], bytes]
"""Gives what a command prints."""

_MARK = ": facts; "


def is_facts_script(command: str) -> bool:
    """Is this the script that reads what an audit judges?"""
    return _MARK in command


def play(script: str, tree: Tree, run: Run) -> bytes:
    """Answer each call of the script by the rules of its own functions."""
    calls = script.partition(_MARK)[2].removesuffix("'").split("; ")
    release = run("uname -r").decode().strip()
    lines: list[str] = []
    for call in calls:
        verb, name, *rest = shlex.split(call.replace("${release}", release))
        lines += [f"{name}{line}" for line in _answer(verb, rest, tree, run)]
    return "".join(f"{line}\n" for line in lines).encode()


def _answer(verb: str, rest: list[str], tree: Tree, run: Run) -> Iterator[str]:
    match verb:
        case "file":
            yield from (
                (f"={line}" for line in _read(tree, rest[0])) if _exists(tree, rest[0]) else ("!absent",)
            )
        case "lines":
            yield "!absent"
            for path in _glob(tree, rest[1:]):
                yield from (
                    f"={path}:{line}" for line in _read(tree, path) if fnmatch.fnmatchcase(line, rest[0])
                )
        case "first":
            yield "!absent"
            lines = _read(tree, rest[1]) if _exists(tree, rest[1]) else []
            yield from [f"={line}" for line in lines if fnmatch.fnmatchcase(line, rest[0])][:1]
        case "present":
            yield "!absent"
            yield from (f"={path}" for path in _glob(tree, rest))
        case "newer":
            images = _glob(tree, rest[0].split())
            yield "!none" if images else "!no image"
            changed = tree.stat(images[-1]).modified if images else 0.0
            yield from (
                f"={path}" for path in _glob(tree, rest[1:]) if images and tree.stat(path).modified > changed
            )
        case _:  # say, table
            yield "!failed"
            yield from (f"={line}" for line in run(shlex.join(rest)).decode().splitlines())


def _read(tree: Tree, path: str) -> list[str]:
    return tree.read(path).decode("utf-8", "replace").splitlines()


def _exists(tree: Tree, path: str) -> bool:
    return bool(_glob(tree, [path]))


def _glob(tree: Tree, patterns: list[str]) -> list[str]:
    """The paths that match, in the patterns' order; a folder is listed once for each of its levels."""
    found: list[str] = []
    for pattern in patterns:
        paths = [""]
        for part in pattern.strip("/").split("/"):
            paths = [
                f"{path}/{name}"
                for path in paths
                for name in _names(tree, path)
                if fnmatch.fnmatchcase(name, part)
            ]
        found += paths
    return found


def _names(tree: Tree, folder: str) -> list[str]:
    try:
        return [entry.name for entry in tree.list(folder or "/")]
    except (FileNotFoundError, NotADirectoryError):
        return []
