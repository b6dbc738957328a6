from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import document
from collector.config.document import parse, read
from collector.errors import ConfigError

FILE = Path("settings.yaml")


def problem(text: str) -> str:
    (only,) = parse(text, FILE).problems
    return f"{only.line}:{only.column}: {only.text}"


def test_every_key_and_value_is_found_again() -> None:
    found = parse("a: 1\nb:\n  - {c: d}\n  - e\nn:\n\nz: 1", FILE)
    assert found.data == {"a": 1, "b": [{"c": "d"}, "e"], "n": None, "z": 1}
    assert found.keys["b", 0, "c"] == (3, 6)
    assert found.values["b", 0, "c"] == (3, 9)
    assert found.keys["b", 1] == found.values["b", 1] == (4, 5)
    assert found.values["n",] == (5, 1), "an absent value is where its key is, not where the next one begins"
    assert found.problems == []


def test_a_problem_below_the_file_is_blamed_on_the_nearest_part_above_it() -> None:
    found = parse("a:\n  b: 1", FILE)
    found.blame_value(("a", "b", "c", 7), "x")
    found.blame_key(("nowhere",), "y")
    assert [(one.line, one.column) for one in found.problems] == [(2, 6), (1, 1)]


def test_text_that_looks_like_something_else_stays_text() -> None:
    text = "a: yes\nb: 2026-01-01\nc: 12:30:45\nd: <<\ne: '7'\n007: =\nno: off"
    assert parse(text, FILE).data == {
        "a": "yes",
        "b": "2026-01-01",
        "c": "12:30:45",
        "d": "<<",
        "e": "7",
        "007": "=",
        "no": "off",
    }


def test_numbers_truth_and_nothing_are_read_as_such() -> None:
    data = parse("a: 7\nb: 0x1f\nc: 1.5\nd: true\ne: ~\nf: null", FILE).data
    assert data == {"a": 7, "b": 31, "c": 1.5, "d": True, "e": None, "f": None}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", "1:1", "empty"),
        ("~", "1:1", "empty"),
        ("a: &x 1", "1:4", "anchors"),
        ("a: [&x {}, *x]", "1:5", "anchors"),
        ("a: *x", "1:4", "aliases"),
        ("a: !!str 1", "1:4", "tags"),
        ("a: ! 1", "1:4", "tags"),
        ("!!python/object:os.system {}", "1:1", "tags"),
        ("%YAML 1.1\n---\na: yes", "2:1", "directive"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "2:1", "directive"),
        ("a: 1\n---\nb: 1", "2:1", "second document"),
        ("a: 1\na: 2", "2:1", "second time; the first is in line 1"),
        ("{a: 1}: 2", "1:1", "plain text"),
        (": 2", "1:1", "plain text"),
        ("[" * 1000, f"1:{document.MAX_DEPTH + 1}", "deeper"),
        ("a: " + "9" * 5000, "1:4", "number"),
        ('a:\n  b: "\\e[31m"', "2:6", "control character"),
        ('a: "\\ud800"', "1:4", "control character"),
        ("a: x\nb: \x00", "2:4", "control character"),
        ("a: 'x\n", "2:1", "quoted"),
        ("\ta: 1", "1:1", "tab"),
    ],
)
def test_what_hides_or_breaks_the_meaning_is_refused_at_its_place(text: str, place: str, reason: str) -> None:
    assert problem(text).startswith(f"{place}: ")
    assert reason in problem(text)


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert "anchors" in problem(bomb)


@given(st.text(alphabet="ab:-[]{},'\"#&*!|>%@`?~ \n\t\\0e\x1b\ud800\ufeff\u2028", max_size=60))
def test_any_text_is_data_or_a_problem(text: str) -> None:
    found = parse(text, FILE)
    assert (found.data is None) <= bool(found.problems)
    lines = len(text.splitlines()) + 1
    assert all(1 <= one.line <= lines and one.column >= 1 for one in found.problems)


class TestReadingFiles:
    def test_a_byte_order_mark_is_no_part_of_the_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\n")
        assert read(tmp_path / "a.yaml").data == {"a": 1}

    def test_bytes_that_are_no_text_are_refused_with_their_line_only(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes(b"a: 1\npassword: hunter2\xff\n")
        with pytest.raises(ConfigError, match=r"a\.yaml:2: not UTF-8") as caught:
            read(tmp_path / "a.yaml")
        assert caught.value.__cause__ is None

    def test_a_giant_is_refused_without_being_read_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(document, "MAX_BYTES", 100)
        (tmp_path / "a.yaml").write_bytes(b"#" * 101)
        with pytest.raises(ConfigError, match="larger than 100 bytes"):
            read(tmp_path / "a.yaml")

    @pytest.mark.parametrize("name", ["missing.yaml", "."])
    def test_what_is_no_file_is_named(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is not a file"):
            read(tmp_path / name)

    @pytest.mark.skipif(sys.platform == "win32", reason="FIFOs are POSIX")
    def test_a_fifo_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.yaml")
        with pytest.raises(ConfigError, match="is not a file"):
            read(tmp_path / "a.yaml")
