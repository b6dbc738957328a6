"""The commands that the lab host understands. There is no shell: a table of answers, `cat` and `uname`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collector.lab import facts
from collector.lab.tree import Tree

Answer = bytes | Callable[[], bytes]
"""What a command prints; a function is called each time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command left behind."""

    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


class Commands:
    """Answers commands on a host.

    Args:
        tree: the host's files, for `cat` and for scripts that read files.
        answers: by the exact command, or by a regular expression that matches all of it.
    """

    def __init__(self, tree: Tree, answers: Mapping[str, Answer]) -> None:
        self._tree = tree
        self._answers = answers

    def run(self, command: str) -> Reply:
        """Answer the command; one that is not known ends with status 127, as in a shell."""
        answer = self._find(command)
        if answer is not None:
            return Reply(stdout=answer if isinstance(answer, bytes) else answer())
        if facts.is_facts_script(command):
            return Reply(stdout=facts.play(command, self._tree, lambda inner: self.run(inner).stdout))
        if _READ_LINE.search(command):
            return Reply(stdout=self._read_lines(command))
        try:
            program, *arguments = shlex.split(command)
        except ValueError:
            return Reply(2, stderr=b"sh: syntax error\n")
        if program == "cat":
            return self._cat([name for name in arguments if name != "--"])
        return Reply(127, stderr=f"sh: {program}: command not found\n".encode())

    def _find(self, command: str) -> Answer | None:
        if command in self._answers:
            return self._answers[command]
        return next((a for pattern, a in self._answers.items() if re.fullmatch(pattern, command)), None)

    def _cat(self, paths: list[str]) -> Reply:
        stdout, stderr = [], []
        for path in paths:
            try:
                stdout.append(self._tree.read(path))
            except FileNotFoundError:
                stderr.append(f"cat: {path}: No such file or directory\n".encode())
            except IsADirectoryError:
                stderr.append(f"cat: {path}: Is a directory\n".encode())
        return Reply(1 if stderr else 0, b"".join(stdout), b"".join(stderr))

    def _read_lines(self, script: str) -> bytes:
        """Play a script of `read -r VARIABLE <PATH; echo NAME=$VARIABLE` and `echo NAME=$(COMMAND)`."""
        lines = []
        for path, name, inner_name, inner in _READ_LINE.findall(script):
            if path:
                text = self._cat([path])
                line = text.stdout.split(b"\n", 1)[0]
                lines.append(f"{name}!absent".encode() if text.status else name.encode() + b"=" + line)
            else:
                lines.append(inner_name.encode() + b"=" + self.run(inner).stdout.strip())
        return b"".join(line + b"\n" for line in lines)


_READ_LINE = re.compile(r"read -r \w+ <(\S+); echo (\w+)=\$\w+|echo (\w+)=\$\(([^()]*)\)")
