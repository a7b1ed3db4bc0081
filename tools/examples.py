"""Run the examples of pages against one shop, and write their real output into the pages.

The fences of a page run in order, those of one language in one shell or one process:

- `console`: a command begins with `$ ` and goes on in the lines that begin with `> `; the rest is output.
- `python` and `typescript`: the fence `text` that follows, if there is one, has the output. TypeScript is checked by its compiler.

A page's programs are the first lines of its reader: they need nothing that the page does not name.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fences import Fence, fences

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = tuple(
    ROOT / name
    for name in (
        "README.md",
        "docs/quick-start.md",
        "docs/cookbook-curl.md",
        "docs/cookbook-grpcurl.md",
        "docs/cookbook-buf.md",
        "docs/cookbook-python.md",
        "docs/cookbook-typescript.md",
        "docs/typescript.md",
    )
)
"""The pages, in the order in which they run in one shop: a page may use what an earlier one has made."""
TYPESCRIPT = ROOT / "clients/typescript"
STRICT = ("--strict", "--target", "es2023", "--module", "nodenext", "--skipLibCheck", "--types", "node", "--noUncheckedIndexedAccess")
OUTPUT = "text"
"""The language of a fence with the output of the one above it."""
TIMEOUT_S = 600
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


@dataclass(frozen=True, slots=True)
class Shop:
    """A running shop with the demo goods and play money, on this machine."""

    port: int
    play_port: int = 12111
    data_dir: Path | None = None
    """Its data, if they are not in the default directory."""

    def here(self, code: str) -> str:
        """Return the code of a page, with the addresses and the directory of this shop."""
        code = code.replace("8080", str(self.port)).replace("12111", str(self.play_port))
        return re.sub(r"(mercato admin create)", rf"\1 --data-dir {shlex.quote(str(self.data_dir))}", code) if self.data_dir else code

    def shown(self, output: str) -> str:
        """Return what a program printed, with the addresses of the page."""
        return output.replace(str(self.port), "8080").replace(str(self.play_port), "12111")


@dataclass(slots=True)
class Step:
    """A command and its output."""

    command: str
    output: list[str] = field(default_factory=list)


def steps(fence: Fence) -> list[Step]:
    """Return the commands of a console fence."""
    found: list[Step] = []
    for line in fence.code.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        elif line.startswith(">") and not found[-1].output:
            found[-1].command += "\n" + line[2:]
        else:
            found[-1].output.append(line)
    return found


def run(text: str, shop: Shop) -> str:
    """Return a page with the output that its examples print now; raises ValueError if one of them fails."""
    found, lines = fences(text), text.splitlines()
    with tempfile.TemporaryDirectory() as home:
        rendered = {**_consoles(found, shop, home), **_programs(found, lines, shop, home)}
    for fence in sorted(rendered, key=lambda each: each.first, reverse=True):
        lines[fence.first + 1 : fence.last] = rendered[fence]
    return "\n".join(lines) + "\n"


def _started(command: Sequence[str], given: str, shop: Shop, home: str, parts: int) -> list[str]:
    """Run a program with a text as its input; return the output of each of its parts, which end with a mark."""
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, input=given, cwd=home, env=environ, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    printed = shop.shown(done.stdout).split(f"\n{_MARK}\n")
    if done.returncode or len(printed) != parts + 1 or done.stderr:
        raise ValueError(f"an example failed:\n{done.stderr}\n{done.stdout[-2000:]}")
    return [each.strip("\n") for each in printed[:-1]]


def _consoles(found: Sequence[Fence], shop: Shop, home: str) -> dict[Fence, list[str]]:
    blocks = {fence: steps(fence) for fence in found if fence.language == "console"}
    commands = [step for block in blocks.values() for step in block]
    if not commands:
        return {}
    script = shop.here("\n".join(f"{step.command}\necho; echo '{_MARK}'" for step in commands))
    path = Path(home) / ".script"
    path.write_text(script + "\n")
    for step, output in zip(commands, _started(["/bin/bash", str(path)], "", shop, home, len(commands)), strict=True):
        step.output = output.splitlines()
    return {fence: [line for step in block for line in _shown(step)] for fence, block in blocks.items()}


def _shown(step: Step) -> Iterator[str]:
    yield from ("$ " + step.command.replace("\n", "\n> ").replace("\n> \n", "\n>\n")).splitlines()
    yield from step.output


def _programs(found: Sequence[Fence], lines: Sequence[str], shop: Shop, home: str) -> dict[Fence, list[str]]:
    """Return the fences of output below the programs; raises ValueError if there is output and no such fence."""
    rendered = {}
    for language, runner in (("python", _python), ("typescript", _typescript)):
        programs = [fence for fence in found if fence.language == language]
        for fence, output in zip(programs, runner(programs, shop, home) if programs else (), strict=True):
            following = next((each for each in found if each.first > fence.last), None)
            between = lines[fence.last + 1 : following.first] if following else ()
            if following and following.language == OUTPUT and not "".join(between).strip():
                rendered[following] = output.splitlines()
            elif output:
                raise ValueError(f"line {fence.first + 1}: a fence `{OUTPUT}` must show the output below this one:\n{output}")
    return rendered


def _python(programs: Sequence[Fence], shop: Shop, home: str) -> list[str]:
    parts = [f"exec(compile({shop.here(fence.code)!r}, 'line {fence.first + 2}', 'exec'))\nprint('\\n{_MARK}')" for fence in programs]
    return _started([sys.executable, "-"], "\n".join(parts), shop, home, len(parts))


def _typescript(programs: Sequence[Fence], shop: Shop, home: str) -> list[str]:
    """Compile the programs as one module, with the types of the client that is built, and run it in Node."""
    folder = Path(home) / "typescript"
    (folder / "node_modules/@mercato").mkdir(parents=True)
    (folder / "node_modules/@mercato/client").symlink_to(TYPESCRIPT)
    (folder / "node_modules/@types").symlink_to(TYPESCRIPT / "node_modules/@types")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "page.ts").write_text("".join(f'{shop.here(fence.code)}console.log("\\n{_MARK}");\n' for fence in programs))
    compiler = ["node", str(TYPESCRIPT / "node_modules/typescript/bin/tsc"), *STRICT, "page.ts"]
    done = subprocess.run(compiler, cwd=folder, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode:
        raise ValueError(f"the types of an example are wrong:\n{done.stdout}")
    return _started(["node", str(folder / "page.js")], "", shop, home, len(programs))


def normalized(text: str) -> str:
    """Return the text without the differences between runs: tokens, ids, times and etags have names, and metadata is sorted."""
    for pattern, name in _VARYING:
        text = re.sub(pattern, name, text)
    return re.sub(r'"metadata":\{([^}]*)\}', lambda found: ",".join(sorted(found[1].split(","))), text)


def stale(text: str, printed: str) -> list[tuple[str, str]]:
    """Return the lines that a page shows and those that were printed, where they differ in more than ids and times."""
    shown, now = normalized(text).splitlines(), normalized(printed).splitlines()
    longest = max(len(shown), len(now))
    pairs = zip([*shown, *[""] * (longest - len(shown))], [*now, *[""] * (longest - len(now))], strict=True)
    return [pair for pair in pairs if pair[0] != pair[1]]


def main() -> int:
    """Rewrite the pages against a running shop with the demo catalog."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of `mercato up --demo-payments`, with fresh data")
    parser.add_argument("--play-port", type=int, default=12111, help="port of its play money")
    parser.add_argument("--data-dir", type=Path, help="its data, if they are not in the default directory")
    given = parser.parse_args()
    for page in PAGES:
        page.write_text(run(page.read_text(), Shop(given.port, given.play_port, given.data_dir)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
