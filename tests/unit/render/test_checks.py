from __future__ import annotations

from pathlib import Path

import pytest

from collector.checks.catalog import CHECKS
from collector.checks.check import Check
from collector.render.checks import pages

FOLDER = Path(__file__).parents[3] / "docs" / "checks"
PAGES = pages()


def test_the_pages_of_the_checks_are_the_catalog() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert found == PAGES, "make them anew: .venv/bin/python scripts/check-pages"


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_every_check_has_its_page_and_the_index_leads_to_it(check: Check) -> None:
    page = PAGES[f"{check.id}.md"]
    assert page.startswith(f"# {check.id}: {check.title}\n")
    assert all(text in page for text in (check.why, check.remedy, check.source))
    assert all(command in page for commands in check.commands.values() for command in commands)
    assert f"[{check.id}]({check.id}.md)" in PAGES["README.md"]
