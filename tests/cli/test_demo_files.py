"""The files of the demo shop: an export that is imported changes nothing, and a further export has the same bytes."""

import asyncio
from pathlib import Path

import pytest

from support.commands import Mercato, fetch
from support.demo_shop import load_whole

EVENTS = "SELECT id, kind FROM events ORDER BY id"


@pytest.mark.parametrize("option", [[], ["--spreadsheet-safe"]], ids=["plain", "safe"])
def test_the_demo_shop_comes_back_from_its_files_without_an_event(
    mercato: Mercato, database: str, file: Path, tmp_path: Path, option: list[str]
) -> None:
    assert asyncio.run(load_whole(database, tmp_path / "pictures"))
    before = asyncio.run(fetch(database, EVENTS))
    for command, unchanged in (((), 248), (("categories",), 17)):
        assert mercato(*command, "export", file.name, *option).returncode == 0
        first = file.read_bytes()
        done = mercato(*command, "import", file.name, *option)
        assert (done.returncode, done.stdout.partition(" unchanged")[0]) == (0, f"0 created, 0 updated, {unchanged}"), done.stderr
        assert mercato(*command, "export", file.name, *option).returncode == 0
        assert file.read_bytes() == first
    assert asyncio.run(fetch(database, EVENTS)) == before
