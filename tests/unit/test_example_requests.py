"""The registry of example requests is complete, so every table that uses it is."""

from collections import Counter
from uuid import uuid4

from mercato.rpcs import rpcs
from support.example_requests import EXAMPLE_REQUESTS, ShopSubjects

ANY = ShopSubjects(*(str(uuid4()) for _ in ShopSubjects.__dataclass_fields__))


def test_every_rpc_has_an_example_request_of_its_type() -> None:
    assert [rpc.path for rpc in rpcs() if rpc.name not in EXAMPLE_REQUESTS] == []
    assert [rpc.path for rpc in rpcs() if not isinstance(EXAMPLE_REQUESTS[rpc.name](ANY), rpc.request_type)] == []


def test_every_example_request_is_that_of_one_rpc() -> None:
    assert Counter(rpc.name for rpc in rpcs()) == Counter(list(EXAMPLE_REQUESTS))
