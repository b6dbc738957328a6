"""Hold a part of a YAML document against a pydantic model, and say in words what does not fit, and where."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from collector.config.document import Document, Location, shown

M = TypeVar("M", bound=BaseModel)

_WANTED = {
    "string_type": "text; put it in quotes if it is one",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "tuple_type": "a list (`[a, b]`)",
    "list_type": "a list (`[a, b]`)",
    "path_type": "a path",
    "frozen_set_type": "a list (`[a, b]`)",
}
"""What each of pydantic's type errors wants, in the words of YAML."""


def validate(model: type[M], document: Document, location: Location = ()) -> M | None:
    """Build `model` from the part of `document` at `location`; None if problems were noted instead.

    Types are strict: the text "623" is no number, and the number 1 is not true.
    """
    data = document.data
    for step in location:
        data = data[step]
    try:
        # By way of JSON, because only there strict types still take text for paths and enumerations.
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            _note(document, location, model, item)
    return None


def did_you_mean(word: object, known: Collection[str], ask: str = "did you mean") -> str:
    """The end of a message about an unknown word: the known word next to it, or else those there are."""
    near = difflib.get_close_matches(word, known, n=1) if isinstance(word, str) else []
    if near:
        return f"; {ask} `{near[0]}`?"
    listed = [f"`{name}`" for name in sorted(known)[:12]]
    return f"; known: {', '.join(listed)}{', …' if len(known) > len(listed) else ''}" if listed else ""


def _note(document: Document, base: Location, model: type[BaseModel], item: Mapping[str, Any]) -> None:
    location = (*base, *item["loc"])
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        # A key without a value may be the value of another: `{password: env:A, hunter2}`.
        key = location[-1] if item["input"] is not None else None
        known = list(_keys(model, item["loc"][:-1]))
        document.blame_key(location, f"unknown key {shown(key)}{did_you_mean(key, known)}")
    elif location[-1:] == ("[key]",):
        document.blame_key(location[:-1], str(context.get("error", item["msg"])))
    elif kind == "missing":
        document.blame_key(location[:-1], f"the key `{location[-1]}` is missing")
    elif kind in {"enum", "literal_error"}:
        near = difflib.get_close_matches(str(item["input"]), _unquoted(context["expected"]), n=1)
        document.blame_value(
            location, f"must be {context['expected']}" + (f"; did you mean '{near[0]}'?" if near else "")
        )
    elif kind == "value_error":
        document.blame_value(location, str(context["error"]))
    elif kind in _WANTED:
        document.blame_value(location, f"must be {_WANTED[kind]}")
    else:
        # pydantic's own messages name what was wanted, never what was found.
        text = item["msg"].replace("Input should ", "must ").replace("String should ", "text must ")
        document.blame_value(location, text[:1].lower() + text[1:])


def _unquoted(expected: str) -> list[str]:
    return expected.replace("'", "").replace(" or ", ", ").split(", ")


def _keys(annotation: object, location: tuple[str | int, ...]) -> Iterator[str]:
    """The keys that a mapping at `location` inside a value of type `annotation` may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        names = {field.alias or name: field for name, field in annotation.model_fields.items()}
        if not location:
            yield from names
        elif location[0] in names:
            yield from _keys(names[str(location[0])].annotation, location[1:])
        return
    inside = get_origin(annotation) in {dict, tuple, list} and location
    for argument in get_args(annotation):
        yield from _keys(argument, location[1:] if inside else location)
