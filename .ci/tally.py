"""Add up what the stages of `.ci/run` left behind, and refuse skips that nobody allowed.

Each stage left `NAME.status` (its exit status), and `NAME.xml` (JUnit) if it ran tests. A stage without
tests counts as one. A stage that failed without a failed test, because it crashed or ran out of time, counts
as one failure.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """What all stages came to."""

    passed: int = 0
    failed: int = 0
    skips: list[tuple[str, str]] = field(default_factory=list)  # (test, reason)

    def add(self, status: Path) -> None:
        """Count one stage."""
        succeeded = status.read_text().strip() == "0"
        report = status.with_suffix(".xml")
        if not report.exists():
            self.passed += succeeded
            self.failed += not succeeded
            return
        failed_before = self.failed
        for case in ET.parse(report).iter("testcase"):
            skipped = case.find("skipped")
            if skipped is not None:
                self.skips.append(
                    (f"{case.get('classname')}::{case.get('name')}", skipped.get("message", ""))
                )
            elif case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            else:
                self.passed += 1
        if not succeeded and self.failed == failed_before:
            self.failed += 1


def main(folder: Path, allowed: Path) -> int:
    """Print the tally as the last line; return 1 if anything failed or was skipped without leave."""
    tally = Tally()
    for status in sorted(folder.glob("*.status")):
        if status.read_text().strip() != "0":
            print(f"make {status.stem}: exit status {status.read_text().strip()}")
        tally.add(status)
    lines = (line.strip() for line in allowed.read_text().splitlines())
    reasons = [re.compile(line) for line in lines if line and not line.startswith("#")]
    refused = [skip for skip in tally.skips if not any(reason.search(skip[1]) for reason in reasons)]
    for test, reason in refused:
        print(f"skipped without leave: {test}: {reason}")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skips)} skipped")
    return 1 if tally.failed or refused or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
