from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import InventoryError
from collector.inventory import folding
from collector.inventory.folding import expand, fold


def split(folded: str) -> list[str]:
    """Split at commas that are not in brackets."""
    words, depth = [""], 0
    for character in folded:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return words


@pytest.mark.parametrize(
    ("folded", "names"),
    [
        ("web01", ["web01"]),
        ("web[01-03]", ["web01", "web02", "web03"]),
        ("web[8-11]", ["web8", "web9", "web10", "web11"]),
        ("web[098-101]", ["web098", "web099", "web100", "web101"]),
        ("web[01-02,7].example.com", ["web01.example.com", "web02.example.com", "web7.example.com"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("web[3]", ["web3"]),
    ],
)
def test_a_folded_name_stands_for_its_names_in_order(folded: str, names: list[str]) -> None:
    assert expand(folded) == names


@pytest.mark.parametrize(
    ("folded", "reason"),
    [
        ("web[", "do not match"),
        ("web]1[", "do not match"),
        ("web[[1]]", "do not match"),
        ("web[]", "numbers"),
        ("web[a-c]", "numbers"),
        ("web[1-2-3]", "numbers"),
        ("web[-1]", "numbers"),
        ("web[1,]", "numbers"),
        ("web[٣]", "numbers"),
        ("web[3-1]", "goes up"),
        ("web[1-999999999]", "more than"),
        ("web[1-101]x[1-100]", "more than"),
        ("web[1-9999,1-9999]", "more than"),
    ],
)
def test_wrong_brackets_are_refused(folded: str, reason: str) -> None:
    with pytest.raises(InventoryError, match=reason) as caught:
        expand(folded)
    assert "web[01-40]" in caught.value.hint


def test_the_limit_itself_is_allowed() -> None:
    assert len(expand(f"web[1-{folding.MAX_NAMES}]")) == folding.MAX_NAMES
    with pytest.raises(InventoryError):
        expand(f"web[0-{folding.MAX_NAMES}]")


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], ""),
        (["db01"], "db01"),
        (["web03", "web01", "web02", "web07", "web01"], "web[01-03,07]"),
        (["web9", "web10", "web11"], "web[9-11]"),
        (["web09", "web10", "web099", "web100"], "web[09-10,099-100]"),
        (["web1", "web01"], "web[1,01]"),
        (["db01", "web1", "db02", "bastion"], "db[01-02],web1,bastion"),
        (["web01.dc2.example.com", "web02.dc2.example.com"], "web[01-02].dc2.example.com"),
        (["r1n01", "r1n02", "r2n01"], "r1n[01-02],r2n01"),
        (["node", "node1"], "node,node1"),
    ],
)
def test_names_are_folded_by_the_last_number_of_their_first_label(names: list[str], folded: str) -> None:
    assert fold(names) == folded


@given(st.lists(st.from_regex(r"\A[a-c.]{0,2}[019]{0,4}[a-b.]{0,2}[0-9]{0,2}\Z").filter(bool), max_size=20))
def test_what_is_folded_expands_to_the_same_names(names: list[str]) -> None:
    expanded = [name for word in split(fold(names)) for name in expand(word) if word]
    assert sorted(expanded) == sorted(set(names))
