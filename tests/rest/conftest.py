"""One shop for all tests of the edge; each test makes its own accounts and products."""

from collections.abc import Iterator

import grpc
import pytest

from support.mercato_up import ORIGIN, Up, running
from support.rest_client import HOST, Client


@pytest.fixture(scope="session")
def plain_up() -> Iterator[Up]:
    """`mercato up`, without limits on the rate of requests."""
    with running(MERCATO_RATE_LIMITS="off", MERCATO_CORS_ORIGINS=ORIGIN) as up:
        yield up.lasting()


@pytest.fixture(scope="session")
def cached_up() -> Iterator[Up]:
    """The same with the cache of catalog reads."""
    with running(MERCATO_RATE_LIMITS="off", MERCATO_CORS_ORIGINS=ORIGIN, MERCATO_EDGE_CACHE="on") as up:
        yield up.lasting()


@pytest.fixture(scope="session", params=["plain_up", "cached_up"], ids=["workers", "cache"])
def either_up(request: pytest.FixtureRequest) -> Up:
    """Both in turn."""
    up: Up = request.getfixturevalue(request.param)
    return up


@pytest.fixture(scope="session")
def shop_up(plain_up: Up) -> Up:
    """The shop of most tests; a module may use `either_up` instead."""
    return plain_up


@pytest.fixture
def anyone(shop_up: Up) -> Client:
    """A client without a token."""
    return shop_up.anyone


@pytest.fixture
def admin(shop_up: Up) -> Client:
    """The administrator."""
    return shop_up.admin


@pytest.fixture
def buyer(shop_up: Up) -> Client:
    """A client with a new account."""
    return shop_up.buyer()


@pytest.fixture
def channel(shop_up: Up) -> Iterator[grpc.Channel]:
    """A gRPC channel to the same port as REST."""
    with grpc.insecure_channel(f"{HOST}:{shop_up.port}") as channel:
        yield channel
