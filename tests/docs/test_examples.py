"""The examples of README.md, the quick start and the cookbooks print the output that the pages show."""

from pathlib import Path
from shutil import which

import pytest
from typer.main import get_command

import examples
from docs.conftest import Printed
from fences import fences
from mercato_server.cli.commands import app
from support import needs

pytestmark = [needs.JQ.unless(which("jq")), needs.TYPESCRIPT.unless((examples.TYPESCRIPT / "dist").exists())]


@pytest.mark.parametrize("page", examples.PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_examples_print(page: Path, printed: Printed) -> None:
    now = printed.pages[page]
    assert isinstance(now, str), now
    assert examples.stale(page.read_text(), now) == [], "run: make examples"


def changed(text: str, language: str) -> str:
    """Return a page with another first line of output in its fences of a language."""
    lines = text.splitlines()
    inside = [at for each in fences(text) if each.language == language for at in range(each.first + 1, each.last)]
    lines[next(at for at in inside if not lines[at].startswith(("$ ", ">")))] = "an output of an earlier release"
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("name", "language"), [("cookbook-curl", "console"), ("cookbook-python", "text"), ("cookbook-typescript", "text")])
def test_an_output_of_an_earlier_release_is_found(name: str, language: str, printed: Printed) -> None:
    [page] = [page for page in examples.PAGES if page.stem == name]
    now = printed.pages[page]
    assert isinstance(now, str), now
    [(shown, _)] = examples.stale(changed(page.read_text(), language), now)
    assert shown == "an output of an earlier release"


def test_an_output_without_a_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="must show the output"):
        examples.run("```python\nprint(1)\n```\n", examples.Shop(1))


def test_an_example_that_fails_is_refused() -> None:
    for page in ("```python\nprint(1)\nraise SystemExit(3)\n```\n\n```text\n1\n```\n", "```console\n$ cat absent\n```\n"):
        with pytest.raises(ValueError, match="an example failed"):
            examples.run(page, examples.Shop(1))


def test_types_of_an_example_that_are_wrong_are_refused() -> None:
    page = '```typescript\nimport { connect } from "@mercato/client/node";\nconnect("http://127.0.0.1:1").login(1);\n```\n'
    with pytest.raises(ValueError, match="the types of an example are wrong"):
        examples.run(page, examples.Shop(1))


def test_the_readme_has_every_command_of_the_server() -> None:
    text = examples.README.read_text()
    names = list(get_command(app).commands)  # type: ignore[attr-defined]
    assert len(names) > 10
    assert [name for name in names if f"`mercato {name}" not in text] == []
