"""One shop for all tests of the shopkeeper's commands; each test has a directory of logins of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.forked_commands import Commands
from support.mercato_up import Up, running
from support.shopkeeper import Shopkeeper


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    commands = Commands()
    yield commands
    commands.close()


@pytest.fixture(scope="session")
def up() -> Iterator[Up]:
    """`mercato up`, without limits on the rate of requests."""
    with running(MERCATO_RATE_LIMITS="off") as up:
        yield up.lasting()


@pytest.fixture
def anyone(commands: Commands, up: Up, tmp_path: Path) -> Shopkeeper:
    """A shopkeeper who has not logged in."""
    return Shopkeeper(commands, tmp_path, up)


@pytest.fixture
def admin(anyone: Shopkeeper, up: Up) -> Shopkeeper:
    """An administrator, by MERCATO_TOKEN."""
    anyone.environ["MERCATO_TOKEN"] = up.admin.token
    return anyone
