"""The words of a settings file for the tags of a vCenter."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from collector.adapters.vsphere_tags import Tag
from collector.inventory.machines import words_of


def words(*tags: tuple[str, str]) -> Mapping[str, str]:
    """By `category/name`."""
    made = [Tag(f"{number}", category, name) for number, (category, name) in enumerate(tags)]
    found = words_of([*made, *made])
    return {str(tag): found[tag.id] for tag in made if tag.id in found}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("prod", "prod"), ("Tier 1", "Tier-1"), ("a/b", "a-b"), ("-x-", "x"), ("  ", None), ("生产", None),
        ("", None), ("x" * 65, None), ("x" * 64, "x" * 64), ("cost:42", "cost:42"), ("$(id)", "id"),
    ],
)  # fmt: skip
def test_a_tag_becomes_a_word(name: str, word: str | None) -> None:
    assert words(("env", name)) == ({f"env/{name}": word} if word else {})


def test_a_name_of_two_categories_is_told_with_them() -> None:
    assert words(("env", "prod"), ("owner", "prod"), ("owner", "web")) == {
        "env/prod": "env:prod", "owner/prod": "owner:prod", "owner/web": "web",
    }  # fmt: skip


def test_a_word_never_means_two_tags() -> None:
    assert words(("e", "a b"), ("e", "a-b")) == {}
    assert words(("e", "x"), ("f", "x"), ("g", "e:x")) == {"f/x": "f:x"}
