"""Every fence of README.md and of docs/ has a test that runs it; the fences are counted without their parser."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import examples
from docs.claims import CLAIMS, HERE, PARSED
from fences import Fence, fences
from support.documentation import blocks

ROOT = examples.ROOT
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = {"console", "python", "typescript"}
"""Languages that tools/examples.py runs on its pages."""


def unclaimed(page: Path) -> list[str]:
    """Return the fences of a page that no test runs."""
    left = Counter({claim: claim.fences for claim in CLAIMS if (ROOT / "docs" / claim.page).resolve() == page.resolve()})
    found = []
    for number, fence in enumerate(all_fences := fences(page.read_text())):
        if fence.language == "mermaid" or (page in examples.PAGES and _is_example(all_fences, number)):
            continue
        fitting = [claim for claim in left if left[claim] and claim.language == fence.info and claim.heading in {fence.heading, ""}]
        if fitting:
            left[max(fitting, key=lambda claim: bool(claim.heading))] -= 1
        else:
            found.append(f"line {fence.first + 1}: {fence.info or 'no language'}")
    return found + [f"{claim} has {count} more than the page" for claim, count in left.items() if count]


def _is_example(all_fences: list[Fence], number: int) -> bool:
    """Return whether tools/examples.py runs a fence, or writes it as the output of the one above."""
    fence = all_fences[number]
    return fence.info in RUN or (fence.info == examples.OUTPUT and number > 0 and all_fences[number - 1].info in RUN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_test_runs_each_fence(page: Path) -> None:
    assert unclaimed(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_parser_of_fences_misses_none(page: Path) -> None:
    marks = re.findall(r"^[ >\t*-]*(?:```|~~~)", page.read_text(), re.MULTILINE)
    assert len(marks) == 2 * len(fences(page.read_text()))


@pytest.mark.parametrize("info", ["", "console title=x", "{.python}", "python linenums", "ruby"])
def test_a_fence_with_attributes_or_without_a_language_is_not_taken(info: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```{info}\nx\n```\n")
    assert unclaimed(page) == [f"line 3: {info or 'no language'}"]


def test_each_claim_names_a_test_that_reads_its_page() -> None:
    here = ast.parse((ROOT / "tests" / HERE.removesuffix("::")).read_text())
    functions = {each.name: each for each in here.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    for claim in CLAIMS:
        path, _, function = claim.test.partition("::")
        if claim.test == PARSED:
            assert function in functions
        elif claim.test.startswith(HERE):
            assert claim.page in texts(functions[function]), claim
        else:
            assert any(text.endswith(f"docs/{claim.page}") for text in read(path)), claim


@cache
def read(path: str) -> frozenset[str]:
    """Return the strings of a module of tests/, and of those that it imports."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return frozenset(text for each in (tree, *imported(tree)) for text in texts(each))


def texts(tree: ast.AST) -> set[str]:
    """Return the strings of code, without its docstrings: a page that they mention is not read."""
    prose = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    found = (each for each in ast.walk(tree) if isinstance(each, ast.Constant) and id(each) not in prose)
    return {each.value for each in found if isinstance(each.value, str)}


def imported(tree: ast.Module) -> Iterator[ast.Module]:
    """Yield the modules of tests/ and benchmarks/ that a module imports."""
    for each in tree.body:
        if isinstance(each, ast.ImportFrom):
            for name in (each.module or "", *(f"{each.module}.{alias.name}" for alias in each.names)):
                files = (ROOT / folder / f"{name.replace('.', '/')}.py" for folder in ("tests", "benchmarks"))
                yield from (ast.parse(file.read_text()) for file in files if file.exists())


def test_the_blocks_that_other_tests_read_are_fences() -> None:
    for claim in CLAIMS:
        assert len(blocks((ROOT / "docs" / claim.page).resolve(), claim.language)) >= claim.fences, claim
