from __future__ import annotations

import re
from pathlib import Path

from collector.config.document import read
from collector.render.patterns import pages, write
from collector.triage.modules import load
from collector.triage.patterns import CATALOG

PATTERNS = Path(__file__).parents[3] / "docs" / "patterns"
MAKE = "from pathlib import Path; from collector.render.patterns import write; write(Path('docs/patterns'))"
PAGE = Path(__file__).parents[3] / "docs" / "triage.md"


def test_every_pattern_has_its_page_and_there_is_no_other_page() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in PATTERNS.glob("*")} == pages(), (
        f'make them anew: python -c "{MAKE}"'
    )


def test_a_page_says_all_that_the_catalog_says() -> None:
    made = pages()
    for one in CATALOG.values():
        for text in (one.title, one.meaning, one.remedy, one.source):
            assert text in made[f"{one.id}.md"]
        assert f"({one.id}.md)" in made["README.md"]


def test_pages_of_patterns_that_are_no_more_are_removed(tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("old")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(pages())


def test_the_table_of_modules_in_the_example_can_be_read_and_wins(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    file = tmp_path / "ours.yaml"
    file.write_text(example, encoding="utf-8")
    assert read(file).problems == []
    modules = load(file)
    assert not modules.is_foreign("OurPlatform64")
    assert not modules.is_foreign("ourhook.dll")
    maker = modules.vendor("exbackup7.sys")
    assert maker is not None
    assert maker.name == "Example Corp"
