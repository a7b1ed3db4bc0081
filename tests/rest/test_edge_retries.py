"""The edge's own replies let a stock gRPC client wait where a short delay helps, and fail at once elsewhere."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mercato import service_config
from mercato.v1 import catalog_pb2, catalog_pb2_grpc
from support.mercato_up import ORIGIN, Up, running
from support.patience import patient
from support.rest_client import HOST

PUSHBACK = "grpc-retry-pushback-ms"
BUCKET = 5
CALLS = 12
"""More than the bucket, and fewer than two buckets and a half."""


@pytest.fixture(scope="module")
def limited() -> Iterator[Up]:
    """Run a shop that admits few requests a second."""
    with running(MERCATO_RATE_LIMITS="on", MERCATO_REQUESTS_PER_SECOND=str(BUCKET), MERCATO_CORS_ORIGINS=ORIGIN) as up:
        yield up


def refusals(up: Up, config: str) -> list[dict[str, str | bytes]]:
    """Send reads at once; return the trailing metadata of those that were refused."""
    found = []
    with grpc.insecure_channel(f"{HOST}:{up.port}", options=[("grpc.service_config", config)]) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        for call in [stub.ListCategories.future(catalog_pb2.ListCategoriesRequest(), timeout=patient()) for _ in range(CALLS)]:
            if call.code() is not grpc.StatusCode.OK:
                assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                found.append(dict(call.trailing_metadata()))
    return found


def test_a_rate_limit_of_a_second_is_waited_for(limited: Up) -> None:
    without = refusals(limited, "{}")
    assert without
    assert {trailers[PUSHBACK] for trailers in without} == {"1000"}
    assert refusals(limited, service_config()) == []


def test_a_page_can_read_the_pushback_and_rest_answers_do_not_have_it(limited: Up) -> None:
    with ThreadPoolExecutor(CALLS) as pool:
        replies = list(pool.map(lambda _: limited.anyone.send("GET", "/categories", None, [("origin", ORIGIN)]), range(CALLS)))
    assert 429 in {reply.status for reply in replies}
    for reply in replies:
        assert PUSHBACK not in reply.headers
    exposed = {name for reply in replies for name in reply.headers.get("access-control-expose-headers", "").split(", ")}
    assert PUSHBACK in exposed
