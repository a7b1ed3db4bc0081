"""One shop for all pages: the demo goods, play money, and what the pages have done in their order."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import examples
from support.mercato_up import Up, running_demo


@dataclass(frozen=True, slots=True)
class Printed:
    """A running shop, and the pages with the output that their examples printed in it."""

    up: Up
    pages: dict[Path, str | Exception]


@pytest.fixture(scope="session")
def printed() -> Iterator[Printed]:
    """Run all pages, in their order."""
    with running_demo("--demo-payments", MERCATO_RATE_LIMITS="off") as up:
        shop = examples.Shop(up.port, int(up.play_money.rpartition(":")[2]), up.data_dir)
        yield Printed(up, {page: _run(page, shop) for page in examples.PAGES})


def _run(page: Path, shop: examples.Shop) -> str | Exception:
    """Return what a page prints, or why it fails: the test of that page reports it, and the others go on."""
    os.environ["MERCATO_BCRYPT_COST"] = "4"
    try:
        return examples.run(page.read_text(), shop)
    except (ValueError, subprocess.TimeoutExpired) as error:
        return error
