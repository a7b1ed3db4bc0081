"""Run the console blocks of README.md in order in one shell, and write their real output into it.

A block is fenced as `console`; a line that begins with `$ ` is a command, and goes on in the lines that begin with `>`. The rest is
output.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TIMEOUT_S = 120
_MARK = "--- end of command ---"
_VARYING = (
    (r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "<token>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r'("number": ?)"[0-9A-Z]{11}"', r'\1"<number>"'),
    (r"\b(pi|re)_[0-9a-f]{24}(_secret_[0-9a-f]{24})?", r"<\1>"),
    (r'("?etag"?: ?)"[0-9a-f]{16}"', r'\1"<etag>"'),
    (r'("?next_?[pP]age_?[tT]oken"?: ?)"[\w-]+"', r'\1"<token>"'),
)


@dataclass(slots=True)
class Step:
    """A command and its output."""

    command: str
    output: list[str] = field(default_factory=list)


def blocks(text: str) -> list[list[Step]]:
    """Return the steps of each console block."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        steps: list[Step] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(line[2:]))
            elif line.startswith(">") and not steps[-1].output:
                steps[-1].command += "\n" + line[2:]
            else:
                steps[-1].output.append(line)
        found.append(steps)
    return found


def run(text: str, port: int, play_port: int = 12111, data_dir: Path | None = None) -> str:
    """Return the README with the current output of its commands, run against a shop on a local port, with play money on another.

    The shop's data are in the default directory unless another is given.
    """
    steps = [step for block in blocks(text) for step in block]
    script = "\n".join(f"{step.command}\necho; echo '{_MARK}'" for step in steps)
    script = script.replace("8080", str(port)).replace("12111", str(play_port))
    if data_dir:
        script = script.replace("mercato admin create", f"mercato admin create --data-dir {shlex.quote(str(data_dir))}")
    with tempfile.TemporaryDirectory() as home:
        environ = os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}", "HOME": home}
        done = subprocess.run(
            ["/bin/bash", "-c", script], cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    outputs = done.stdout.replace(str(port), "8080").replace(str(play_port), "12111").split(f"\n{_MARK}\n")
    if len(outputs) != len(steps) + 1 or done.stderr:
        raise RuntimeError(f"the commands of README.md failed:\n{done.stderr}\n{done.stdout[-2000:]}")
    for step, output in zip(steps, outputs, strict=False):
        step.output = output.strip("\n").splitlines()
    rendered = iter(steps)

    def render(match: re.Match[str]) -> str:
        lines = []
        for _ in blocks(match[0])[0]:
            step = next(rendered)
            lines += ["$ " + step.command.replace("\n", "\n> ").replace("\n> \n", "\n>\n"), *step.output]
        return "```console\n" + "\n".join(lines) + "\n```"

    return re.sub(r"^```console\n.*?^```", render, text, flags=re.MULTILINE | re.DOTALL)


def normalized(text: str) -> str:
    """Return the text without the differences between runs: tokens, ids, times and etags have names, and metadata is sorted."""
    for pattern, name in _VARYING:
        text = re.sub(pattern, name, text)
    return re.sub(r'"metadata":\{([^}]*)\}', lambda found: ",".join(sorted(found[1].split(","))), text)


def main() -> int:
    """Rewrite README.md against a running shop with the demo catalog."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of `mercato up --demo-payments`, with fresh data")
    parser.add_argument("--play-port", type=int, default=12111, help="port of its play money")
    parser.add_argument("--data-dir", type=Path, help="its data, if they are not in the default directory")
    given = parser.parse_args()
    README.write_text(run(README.read_text(), given.port, given.play_port, given.data_dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
