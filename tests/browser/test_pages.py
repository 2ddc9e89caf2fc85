"""The pages in a real browser: nothing is wider than the window, on a telephone and on a desk, and nothing is fetched."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from equilatent.cli import main

ROOT = Path(__file__).parents[2]
BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium")

#: What is measured of a page: its own width, the window's, and what it asked other servers for.
SCRIPT = """
<script>
addEventListener("load", () => parent.postMessage([
  document.documentElement.scrollWidth, innerWidth,
  performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
], "*"));
</script>
"""
FRAME = """<!doctype html><title>waiting</title>
<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<script>addEventListener("message", e => {{ document.title = e.data.join(" "); }});</script>
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("report") / "report.html"
    assert main(["report", str(ROOT / "results" / "experiments"), "--out", str(page)]) == 0
    return page


@pytest.mark.parametrize("width", [390, 1440])
def test_the_report_fits_its_window_and_asks_nothing_of_the_internet(report: Path, width: int, tmp_path: Path) -> None:
    page = report.read_text("utf-8").replace("</body>", f"{SCRIPT}</body>")
    frame = tmp_path / "frame.html"
    # A window may not be as narrow as a telephone; a frame may.
    frame.write_text(FRAME.format(width=width, page=html.escape(page)), "utf-8")
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1600,1000", "--virtual-time-budget=20000"]
    dumped = subprocess.run(
        [BROWSER, *options, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    measured = re.search(r"<title>(\d+) (\d+) (\d+)</title>", dumped)
    assert measured is not None, dumped[:300]
    content, window, fetched = map(int, measured.groups())
    assert content <= window <= width
    assert fetched == 0
