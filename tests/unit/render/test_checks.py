from __future__ import annotations

from pathlib import Path

from collector.checks.catalog import CHECKS
from collector.render.checks import page

PAGE = Path(__file__).parents[3] / "docs" / "checks.md"
MAKE = "from collector.render.checks import page; print(page(), end='')"


def test_the_page_of_the_checks_is_the_catalog() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f'make it anew: python -c "{MAKE}" > docs/checks.md'


def test_every_check_has_its_section() -> None:
    for check in CHECKS.values():
        assert f"### {check.id}: {check.title}\n" in page()
