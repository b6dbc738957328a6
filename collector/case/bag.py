"""The BagIt 1.0 format (RFC 8493): manifest lines, the bag's labels, and which files are payload."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from collector.case.folder import PAYLOAD

DECLARATION_FILE = "bagit.txt"
INFO_FILE = "bag-info.txt"
MANIFEST_FILE = "manifest-sha256.txt"
TAG_MANIFEST_FILE = "tagmanifest-sha256.txt"

DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
"""All of `bagit.txt` (section 2.1.1)."""

_LINE = re.compile(r"(?P<sha256>[0-9A-Fa-f]{64})[ \t]+\*?(?P<name>[^ \t*].*)")  # section 2.1.3
_ESCAPES = {"%": "%25", "\n": "%0A", "\r": "%0D"}  # section 2.1.3: these three, and no others
_ESCAPED = re.compile("%(25|0A|0D)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be: which file of the case, and what is wrong with it."""

    file: str
    reason: str


def manifest(digests: Mapping[str, str]) -> bytes:
    """The bytes of a manifest of these files: name relative to the bag to SHA-256 in hex.

    Two spaces between, so that `sha256sum -c` reads it. It does not know the escapes of the RFC; a name
    that needs one cannot come from `safe_name`.
    """
    lines = []
    for name, sha256 in sorted(digests.items()):
        escaped = re.sub(r"[%\r\n]", lambda found: _ESCAPES[found[0]], name)
        lines.append(f"{sha256}  {escaped}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def read_manifest(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The files that a manifest lists, and what is wrong with the manifest itself.

    A name that leads out of the bag is a problem, and not among the files.
    """
    digests: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        return digests, [Problem(path.name, f"cannot be read: {error.strerror}")]
    *lines, rest = text.split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, 1):
        found = _LINE.fullmatch(line.rstrip("\r"))
        name = _unescape(found["name"]).removeprefix("./") if found else ""
        if not found:
            problems.append(Problem(path.name, f"line {number} is not a digest and a name"))
        elif not _stays_inside(name):
            problems.append(Problem(path.name, f"line {number} names {name!r}, which leads out of the case"))
        elif name in digests:
            problems.append(Problem(path.name, f"line {number} lists {name!r} a second time"))
        else:
            digests[name] = found["sha256"].lower()
    return digests, problems


def info(labels: Mapping[str, str]) -> bytes:
    """The bytes of `bag-info.txt` (section 2.2.2). A value is one line; control characters are escaped."""
    lines = (f"{label}: {_one_line(value)}\n" for label, value in labels.items())
    return "".join(lines).encode("utf-8", "backslashreplace")


def read_info(path: Path) -> dict[str, str]:
    """The labels of `bag-info.txt`; the first of two that are alike, none when there is no such file."""
    labels: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            label, colon, value = line.partition(":")
            if colon and not line[0].isspace():
                labels.setdefault(label.strip(), value.strip())
    return labels


def payload_files(bag: Path) -> tuple[list[str], list[Problem]]:
    """Every regular file under `data/`, sorted; links and devices are problems, and are not followed."""
    root = bag / PAYLOAD
    names: list[str] = []
    problems: list[Problem] = []
    if root.is_symlink():
        return names, [Problem(PAYLOAD, "is a link and not a folder")]
    for folder, folders, files in os.walk(root):
        for entry in [Path(folder, name) for name in [*folders, *files]]:
            name = entry.relative_to(bag).as_posix()
            if is_regular(entry):
                names.append(name)
            elif entry.is_symlink() or not entry.is_dir():
                problems.append(Problem(name, "is neither a file nor a folder"))
    return sorted(names), problems


def is_regular(path: Path) -> bool:
    """True for a file that is no link."""
    return path.is_file() and not path.is_symlink()


def _one_line(value: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in value)


def _unescape(name: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and "\0" not in name and not path.is_absolute() and ".." not in path.parts
