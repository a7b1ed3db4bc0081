"""Find the words that plain technical English avoids: each names no actor, so a reader has to guess who is meant.

`PATHS` says where the rule holds; add a folder there once its prose is plain.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATHS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs",
    "protos",
    "clients",
    "server",
    "tests",
    "benchmarks",
    "tools",
    "migrations",
)
EXCEPT = ("benchmarks/results/", "clients/typescript/node_modules/", "tools/prose.py", "tests/unit/test_prose.py")
"""Starts of paths without prose of ours: measured results, packages of others, and the files that hold the words as data."""
SUFFIXES = {".md", ".py", ".proto", ".sql", ".html", ".txt"}
GENERATED = "_pb2"
AVOIDED = re.compile(
    r"(?i:\b(?:nobody|somebody|anybody|everybody|whoever|whomever|wish|wishes|wished)\b)"
    r"|(?:^[\s*>/\"#|-]*|[.:;!?]\s+)What\b"  # a sentence whose subject is "what"
)
NAMES = re.compile(r"`[^`]*`|\"nobody\"")
"""Text that is no prose: code in backticks, such as the Unix user `nobody`, and that user as a string in code."""
FENCE = "```"


def avoided(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the number of each line that has an avoided word, counted from 1, and the word; blocks of code are skipped."""
    fenced = False
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith(FENCE):
            fenced = not fenced
        elif not fenced:
            for match in AVOIDED.finditer(NAMES.sub("`", line)):
                yield number, match[0].strip(' \t*>/"#|-.:;!?')


def files(paths: Sequence[str]) -> Iterator[Path]:
    """Yield the files of the paths that people write; a folder stands for all that it holds."""
    for path in (ROOT / each for each in paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in SUFFIXES and GENERATED not in file.name and not str(file.relative_to(ROOT)).startswith(EXCEPT):
                yield file


def check(paths: Sequence[str] = PATHS) -> str | None:
    """Return a line `file:line: word` for each avoided word; None if there is none."""
    found = [
        f"{file.relative_to(ROOT)}:{number}: {word!r}; name the actor"
        for file in files(paths)
        for number, word in avoided(file.read_text(encoding="utf-8").splitlines())
    ]
    return "\n".join(found) or None


if __name__ == "__main__":
    problem = check(sys.argv[1:] or PATHS)
    print(problem or "no avoided words")
    sys.exit(1 if problem else 0)
