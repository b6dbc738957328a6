"""The page of a fleet in a real browser: what it looks like, its filter, and the links to the chains."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from collector.model.result import Outcome
from collector.model.verdict import Level
from collector.render.html_audit import page
from collector.render.reports import worst_first
from tests.peers.chromium import Colour, document, screenshot
from tests.unit.fleet.audits import MIDNIGHT, audit, check

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.xdist_group("chromium")]

FLEET = worst_first(
    [
        *(audit(f"web{n:02}", check("NMI-1", Level.OK), reason="every link holds") for n in range(1, 41)),
        audit("db01", check("KD-1", Level.CRITICAL), level=Level.CRITICAL, reason="no capture kernel (KD-1)"),
        audit("db02", check("KD-1", Level.CRITICAL), level=Level.CRITICAL, reason="no capture kernel (KD-1)"),
        audit("old7", level=Level.UNKNOWN, outcome=Outcome.UNREACHABLE),
    ]
)
CLICKS = """<script>
const shown = () => [...document.querySelectorAll("main details[data-level]")]
  .filter(one => one.getClientRects().length)
  .map(one => one.querySelector("strong").textContent);
const result = {all: shown()};
for (const level of ["critical", "warning", "unknown", "ok"]) {
  document.getElementById(`only-${level}`).click();
  result[level] = shown();
}
document.getElementById("only-all").click();
document.querySelector('a[href="#db02"]').click();
setTimeout(() => {
  result.open = [...document.querySelectorAll("main section:nth-of-type(2) > details[open]")]
    .map(one => one.querySelector("strong").textContent);
  const output = document.createElement("output");
  output.textContent = JSON.stringify(result);
  document.body.append(output);
}, 300);
</script>"""


def written(folder: Path, text: str) -> Path:
    path = folder / "audit.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_page_shows_the_fleet_in_the_colours_of_its_verdicts(tmp_path: Path) -> None:
    found = screenshot(written(tmp_path, page(FLEET, MIDNIGHT)), 900, 700)
    assert (found.width, found.height) == (900, 700)
    paper: Colour = (0xFB, 0xFA, 0xF8)
    red_back, green_back, yellow_back = (0xFB, 0xE6, 0xE4), (0xE3, 0xF4, 0xEA), (0xFD, 0xF1, 0xD7)
    assert found.colours.most_common(1)[0][0] == paper
    for colour in (red_back, green_back, yellow_back):
        assert found.colours[colour] > 500
    assert sum(found.colours.values()) - found.colours[paper] > 20_000  # there is text, and there are cards
    assert len(found.colours) > 100


def test_the_filter_shows_one_level_and_a_link_opens_the_chain_of_its_host(tmp_path: Path) -> None:
    text = page(FLEET, MIDNIGHT)
    # Only this copy may run a script: it does the clicks.
    scripted = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    dom = document(written(tmp_path, scripted.replace("</body>", f"{CLICKS}</body>")))
    said = json.loads(re.search(r"<output>(.*)</output>", dom)[1].replace("&quot;", '"'))  # type: ignore[index]
    assert said == {
        "all": [one.host for one in FLEET],
        "critical": ["db01", "db02"],
        "warning": [],
        "unknown": ["old7"],
        "ok": [f"web{n:02}" for n in range(1, 41)],
        "open": ["db02"],
    }


def test_the_page_itself_runs_no_script(tmp_path: Path) -> None:
    dom = document(written(tmp_path, page(FLEET, MIDNIGHT).replace("</body>", f"{CLICKS}</body>")))
    assert "old7" in dom
    assert "<output>" not in dom
