"""The registry of example requests is complete, so every table that uses it is."""

from collections import Counter
from dataclasses import fields
from uuid import uuid4

from mercato.rpcs import rpcs
from support.example_payments import PaidOrder
from support.example_requests import EXAMPLE_REQUESTS, ShopSubjects

ANY = ShopSubjects(
    *(PaidOrder(str(uuid4()), str(uuid4())) if field.type is PaidOrder else str(uuid4()) for field in fields(ShopSubjects))  # type: ignore[arg-type] # by the types of the fields
)


def test_every_rpc_has_an_example_request_of_its_type() -> None:
    assert [rpc.path for rpc in rpcs() if rpc.name not in EXAMPLE_REQUESTS] == []
    assert [rpc.path for rpc in rpcs() if not isinstance(EXAMPLE_REQUESTS[rpc.name](ANY), rpc.request_type)] == []


def test_every_example_request_is_that_of_one_rpc() -> None:
    assert Counter(rpc.name for rpc in rpcs()) == Counter(list(EXAMPLE_REQUESTS))
