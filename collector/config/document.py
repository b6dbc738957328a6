"""Read YAML that a person wrote, and remember where every key and value stands.

Only what settings need is read: one document of mappings, sequences and plain values, YAML 1.2. Anchors,
aliases, tags, directives and doubled keys are refused: they hide what a file says, and aliases can blow
a small file up to any size. No message repeats a value, for it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from collector.errors import ConfigError

MAX_BYTES = 4 * 1024 * 1024
"""Size limit of a file in bytes. Ten thousand hosts need about half of it."""

MAX_DEPTH = 32
"""How deep mappings and sequences may be nested. Settings need seven levels."""

_SHOWN_PROBLEMS = 50

Location = tuple[str | int, ...]
"""The way from the top to a value, by keys and indexes: ("hosts", "db01", "controllers", 0, "port")."""

Place = tuple[int, int]
"""Line and column, both counted from 1."""

# Plain text that looks like a date, a merge key or a default key stays the text that it is.
_TEXT = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "timestamp", "merge", "value")}

_CLEARER = {
    "mapping values are not allowed here": "a `:` is not allowed here; "
    "indent the line like its neighbours, or put the text in quotes",
    "found character '\\t' that cannot start any token": "a tab is not allowed here; indent with blanks",
    "found unexpected end of stream": "the file ends inside a quoted text",
    "but found another document": "a second document begins here; a file holds one",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a file. Line and column are counted from 1."""

    line: int
    column: int
    text: str


@dataclass(slots=True)
class Document:
    """What a YAML file says, and where it says so.

    `data` is None when the file is empty or is not YAML; `problems` then says why.
    """

    path: Path
    data: Any = None
    keys: dict[Location, Place] = field(default_factory=dict)
    values: dict[Location, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def blame_value(self, location: Location, text: str) -> None:
        """Note a problem at the value at `location`, or at the nearest part of the file above it."""
        self._blame(self.values, location, text)

    def blame_key(self, location: Location, text: str) -> None:
        """Note a problem at the key at `location`, or at the nearest part of the file above it."""
        self._blame(self.keys, location, text)

    def account(self) -> str:
        """The problems as a message: how many there are, and each as `FILE:LINE:COLUMN: TEXT`."""
        problems = sorted(set(self.problems))
        lines = [f"{self.path}:{one.line}:{one.column}: {one.text}" for one in problems[:_SHOWN_PROBLEMS]]
        if len(problems) > len(lines):
            lines.append(f"… and {len(problems) - len(lines)} more")
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        return "\n".join([f"{self.path} has {count}", *lines])

    def _blame(self, places: Mapping[Location, Place], location: Location, text: str) -> None:
        while location and location not in places:
            location = location[:-1]
        self.problems.append(Problem(*places.get(location, (1, 1)), text))


def shown(key: object) -> str:
    """A key for a message. What does not look like one may be a secret without its key, and is not shown."""
    return f"`{key}`" if isinstance(key, str) and _NAME.fullmatch(key) else "(its text is not shown)"


def read(path: Path) -> Document:
    """Read the YAML file `path`. What is wrong inside it is noted in `problems`.

    Raises:
        ConfigError: the file cannot be read, is too large, or is not UTF-8 text.
    """
    try:
        if not path.is_file():  # before opening it: to open a FIFO would wait for a writer
            raise ConfigError(f"{path} is not a file", hint="Correct the path.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="Correct the path or its rights."
        ) from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes", hint="Is it the right file?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        # The decoding error holds the whole content, so it is not chained.
        raise ConfigError(f"{path}:{line}: not UTF-8 text", hint="Save the file as UTF-8.") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Document:
    """Read YAML `text`; `path` names it in messages. Whatever is wrong is noted in `problems`."""
    document = Document(path)
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _StrictComposer
    yaml.max_depth = MAX_DEPTH
    try:
        root = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        document.problems.append(Problem(line, column, "a control character is not allowed"))
    except YAMLError as error:
        document.problems.append(_syntax_problem(error))
    else:
        document.data = None if root is None else _Builder(document, yaml).value(root, ())
        if document.data is None and not document.problems:
            document.problems.append(Problem(1, 1, "the file is empty"))
    return document


class _StrictComposer(Composer):
    """Refuses directives, anchors, aliases and tags where the parser meets them."""

    def compose_document(self) -> object:
        start = self.parser.peek_event()
        if start.version is not None or start.tags:
            raise MarkedYAMLError(problem="a `%` directive is not allowed", problem_mark=start.start_mark)
        return super().compose_document()

    def compose_node(self, parent: object, index: object) -> object:
        event = self.parser.peek_event()
        if event.anchor is not None or event.ctag is not None:  # an alias is named by its anchor
            raise MarkedYAMLError(
                problem="anchors, aliases and tags are not allowed; "
                "put text that begins with `&`, `*` or `!` in quotes",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


def _syntax_problem(error: YAMLError) -> Problem:
    """The parser's own words, without its extract of the file and without the names that it quotes."""
    text, mark = "this is not YAML", None
    if isinstance(error, MaxDepthExceededError):
        text, mark = f"nested deeper than {MAX_DEPTH} levels", error.problem_mark
    elif isinstance(error, MarkedYAMLError):
        text = error.problem or error.context or text
        text = _CLEARER.get(text) or re.sub(r" '[^'<>]{3,}'", "", text)
        mark = error.problem_mark or error.context_mark
    return Problem(mark.line + 1, mark.column + 1, text) if mark else Problem(1, 1, text)


class _Builder:
    """Turns the nodes of the parser into plain data, and notes the place of each."""

    def __init__(self, document: Document, yaml: YAML) -> None:
        self._document = document
        self._constructor = yaml.constructor

    def value(self, node: Node, location: Location) -> object:
        place = _place(node)
        self._document.values.setdefault(location, place)
        if isinstance(node, MappingNode):
            return self._mapping(node, location)
        if isinstance(node, SequenceNode):
            return self._sequence(node, location)
        assert isinstance(node, ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key, place = key_node.value, _place(key_node)
            if not isinstance(key_node, ScalarNode) or not key or _CONTROL.search(key):
                self._problem(place, "a key must be plain text")
                continue
            if key in mapping:
                first = self._document.keys[*location, key][0]
                self._problem(
                    place, f"the key {shown(key)} is here a second time; the first is in line {first}"
                )
                continue
            here = (*location, key)
            self._document.keys[here] = place
            if isinstance(value_node, ScalarNode) and not value_node.value and value_node.style is None:
                self._document.values[here] = place  # nothing was written: the parser points further down
            mapping[key] = self.value(value_node, here)
        return mapping

    def _sequence(self, node: SequenceNode, location: Location) -> list[object]:
        for index, item in enumerate(node.value):
            self._document.keys[*location, index] = _place(item)
        return [self.value(item, (*location, index)) for index, item in enumerate(node.value)]

    def _scalar(self, node: ScalarNode) -> object:
        if _CONTROL.search(node.value):
            self._problem(_place(node), "a control character is not allowed")
            return None
        if str(node.ctag) in _TEXT:
            return str(node.value)
        try:
            return self._constructor.construct_object(node, deep=True)
        except (ValueError, OverflowError):
            self._problem(_place(node), "this number cannot be read")
            return None

    def _problem(self, place: Place, text: str) -> None:
        self._document.problems.append(Problem(*place, text))


def _place(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1
