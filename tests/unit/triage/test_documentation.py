from __future__ import annotations

import re
from pathlib import Path

from collector.config.document import read
from collector.triage.modules import load
from collector.triage.patterns import CATALOG

PAGE = Path(__file__).parents[3] / "docs" / "triage.md"


def test_the_table_of_patterns_is_the_catalog() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| [`")]
    assert rows == [
        f"| [`{one.id}`]({one.source}) {one.title} | {one.meaning} | {one.remedy} |"
        for one in CATALOG.values()
    ]


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
