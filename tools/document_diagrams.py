"""Draw diagrams of mermaid as SVG in Chromium, with a copy of mermaid on this machine."""

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 120
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--virtual-time-budget=60000", "--dump-dom"),
)
DRAW = """
const answer = document.getElementById('answer');
(async () => {
  mermaid.initialize({startOnLoad: false, securityLevel: 'strict', htmlLabels: false, fontFamily: 'sans-serif',
    deterministicIds: true, flowchart: {htmlLabels: false}});
  const drawn = [];
  for (const [number, text] of DIAGRAMS.entries()) {
    try { drawn.push((await mermaid.render(`diagram-${number}`, text)).svg); }
    catch (error) { drawn.push(`error: ${error}`); }
  }
  answer.textContent = JSON.stringify(drawn);
})();
"""


def draw(diagrams: Sequence[str], mermaid: Path) -> list[str]:
    """Return the SVG of each diagram; raises ValueError for one that mermaid refuses.

    Args:
        diagrams: texts in the language of mermaid.
        mermaid: the script `mermaid.min.js`.
    """
    if not diagrams:
        return []
    with tempfile.TemporaryDirectory(prefix="mercato-diagrams-", ignore_cleanup_errors=True) as directory:
        data = json.dumps(list(diagrams)).replace("</", "<\\/")
        script = f"const DIAGRAMS = {data};\n{DRAW}"
        page = Path(directory) / "page.html"
        (page.parent / "mermaid.js").symlink_to(mermaid.resolve())
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><body><pre id="answer"></pre>'
            f'<script src="mermaid.js"></script><script>{script}</script></body>'
        )
        command = [shutil.which("chromium") or "chromium", *OPTIONS, f"--user-data-dir={directory}/profile", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    if not answer or not answer[1]:
        raise ValueError(f"Chromium drew nothing: {done.stderr[-2000:]}")
    drawn: list[str] = json.loads(html.unescape(answer[1]))
    for text, svg in zip(diagrams, drawn, strict=True):
        if not svg.startswith("<svg"):
            raise ValueError(f"{svg}\n{text}")
    return drawn
