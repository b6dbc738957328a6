from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.cli.exit_codes import ExitCode

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_every_path_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:collector|tests|docs|scripts|playbooks|bench)/[\w./-]+)`", text)
    absent = [path for path in paths if "mybmc" not in path and not (REPOSITORY / path).exists()]
    assert absent == []


def test_the_exit_codes_are_documented_as_they_are() -> None:
    text = (REPOSITORY / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", text, flags=re.MULTILINE)
    assert rows == [(str(int(code)), code.name, code.meaning) for code in ExitCode]


def test_every_exit_code_in_the_examples_exists() -> None:
    text = (REPOSITORY / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    used = {
        int(n) for arm in re.findall(r"^  ([\d |]+)\)", text, flags=re.MULTILINE) for n in arm.split(" | ")
    }
    assert used
    assert used <= {int(code) for code in ExitCode}


def test_every_event_of_the_journal_is_documented() -> None:
    text = (REPOSITORY / "docs" / "case-folder.md").read_text(encoding="utf-8")
    written = {
        event
        for file in (REPOSITORY / "collector").rglob("*.py")
        for event in re.findall(r'journal\.append\(\s*"([a-z.]+)"', file.read_text(encoding="utf-8"))
    }
    assert written
    assert {event for event in written if f"`{event}`" not in text} == set()
