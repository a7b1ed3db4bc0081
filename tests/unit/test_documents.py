"""The files, headings, tests and tables that the documents name exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mercato.rpcs import rpcs
from mercato.v1 import policy_pb2

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, by GitHub's rule."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document: Path) -> Iterator[str]:
    for path, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield f"{path}#{anchor}" if anchor else path


def test_each_test_that_the_table_of_circumstances_names_exists() -> None:
    named = re.findall(r"`(\w+/\w+\.py)::(test_\w+)`", (ROOT / "docs/newcomers.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    absent = [f"{path}::{name}" for path, name in named if f"def {name}(" not in (ROOT / "tests" / path).read_text(encoding="utf-8")]
    assert absent == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.relative_to(ROOT).as_posix())
def test_each_link_of_a_document_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert list(broken(document)) == []


def test_each_document_is_in_the_index() -> None:
    listed = {path for path, _ in LINK.findall((ROOT / "docs/README.md").read_text(encoding="utf-8"))}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


def test_each_table_of_the_schema_has_its_place_in_the_lock_order() -> None:
    tables = set(re.findall(r"^CREATE TABLE public\.(\w+)", (ROOT / "migrations/schema.sql").read_text(encoding="utf-8"), re.MULTILINE))
    order = (ROOT / "docs/transactions.md").read_text(encoding="utf-8").partition("## Lock order")[2]
    assert tables - set(re.findall(r"`(\w+)`", order)) == set()


def test_the_page_of_services_has_every_rpc_with_its_routes_and_callers() -> None:
    page = (ROOT / "docs/services.md").read_text(encoding="utf-8")
    listed = {}
    for section in page.split("\n## ")[1:]:
        for name, routes, callers in re.findall(r"^\| (\w+) \| (`.*`) \| (.*) \|$", section, re.MULTILINE):
            listed[f"/mercato.v1.{section.split()[0]}/{name}"] = (routes, callers)
    callers_of = {
        policy_pb2.ACCESS_ANYONE: {"anyone"},
        policy_pb2.ACCESS_USER: {"a user", "the owner"},
        policy_pb2.ACCESS_BUYER: {"a buyer", "the owner", "the buyer, an administrator"},
        policy_pb2.ACCESS_ADMIN: {"an administrator"},
    }
    assert listed.keys() == {rpc.path for rpc in rpcs()}
    for rpc in rpcs():
        routes, callers = listed[rpc.path]
        assert routes == ", ".join(f"`{verb} {path}`" for verb, path, _body in rpc.bindings)
        assert callers in callers_of[rpc.policy.access], rpc.path
