"""Rules of the house that no type checker keeps."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import collector
from collector import errors
from collector.cli import exit_codes
from collector.cli.exit_codes import ExitCode

PACKAGE = Path(collector.__file__).parent


def tree_of_errors(
    root: type[errors.CollectorError] = errors.CollectorError,
) -> Iterator[type[errors.CollectorError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree_of_errors(child)


def calls(name: str) -> set[str]:
    """Files of the package with a call of a method of that name."""
    return {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
    }


def test_only_the_trigger_sends_an_nmi() -> None:
    assert calls("send_nmi") == {"run/trigger.py"}


def test_only_the_snapshot_stage_takes_and_removes_snapshots() -> None:
    assert calls("take_snapshot") == calls("remove_snapshot") == {"run/snapshot.py"}


def test_nothing_prints_but_the_views_and_the_command_line() -> None:
    printing = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {file.split("/")[0] for file in printing} <= {"render", "cli"}


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""
    for error in tree_of_errors():
        assert error.__name__ in drawn
        assert error.__doc__


@pytest.mark.parametrize("error", [e for e in tree_of_errors() if not e.__subclasses__()])
def test_every_error_that_can_end_a_run_has_an_exit_code_of_meaning(
    error: type[errors.CollectorError],
) -> None:
    assert exit_codes.of(error.code) not in (ExitCode.COMPLETE, ExitCode.INTERNAL)


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in tree_of_errors()]
    assert len(codes) == len(set(codes))
