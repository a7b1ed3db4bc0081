"""Errors of the Python clients: their classes, what they tell, and answers that are malformed or of a newer server."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from mercato import errors
from mercato.errors import (
    Aborted,
    CallError,
    DatabaseUnavailable,
    EtagMismatch,
    FailedPrecondition,
    InvalidField,
    MercatoError,
    OutOfStock,
    Unavailable,
    Violation,
)
from mercato.reasons import REASONS
from mercato.v1.cart_pb2 import Cart
from mercato.v1.order_pb2 import Order, StockShortage
from support.python_twins import Twin
from support.scripted_server import DOMAIN, Received, Refused, Scripted, scripted

CODE = grpc.StatusCode
SHORTAGE = StockShortage(lines=[StockShortage.Line(product_id="1", product_name="Ball", wanted=3, available=2)])


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(lambda _: Cart()) as server:
        yield server


def refused(twin: Twin, server: Scripted, answer: Refused, **named: Any) -> CallError:
    def refuse(_: Received) -> Message:
        raise answer

    server.script = refuse
    with twin.open(server.target) as client, pytest.raises(CallError) as caught:
        client.orders.checkout(**named)
    return caught.value


def test_an_error_is_of_the_class_of_its_reason_and_has_its_detail(twin: Twin, server: Scripted) -> None:
    answer = Refused(CODE.FAILED_PRECONDITION, "OUT_OF_STOCK", "the stock is not sufficient", (SHORTAGE,))
    error = refused(twin, server, answer, idempotency_key="mine")
    assert isinstance(error, OutOfStock)
    assert isinstance(error, FailedPrecondition)
    assert list(error.lines) == list(SHORTAGE.lines)
    assert (error.code, error.reason, error.message) == ("FAILED_PRECONDITION", "OUT_OF_STOCK", "the stock is not sufficient")
    assert (error.method, error.idempotency_key) == ("/mercato.v1.OrderService/Checkout", "mine")
    assert error.request_id == server.received[0].metadata["x-request-id"]
    assert not error.outcome_unknown
    assert "OUT_OF_STOCK: the stock is not sufficient" in str(error)


def test_values_of_an_error_are_properties(twin: Twin, server: Scripted) -> None:
    status = Status(code=CODE.ABORTED.value[0])
    status.details.add().Pack(ErrorInfo(reason="ETAG_MISMATCH", domain=DOMAIN, metadata={"etag": "8", "expected_etag": "7"}))
    stale = refused(twin, server, Refused(CODE.ABORTED, raw=status.SerializeToString()))
    assert isinstance(stale, EtagMismatch)
    assert isinstance(stale, Aborted)
    assert stale.current_etag == "8"
    broken = BadRequest(field_violations=[BadRequest.FieldViolation(field="quantity", description="must be at least 1")])
    invalid = refused(twin, server, Refused(CODE.INVALID_ARGUMENT, "INVALID_FIELD", details=(broken,)))
    assert isinstance(invalid, InvalidField)
    assert invalid.violations == (Violation("quantity", "must be at least 1"),)
    delay = RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    later = refused(twin, server, Refused(CODE.RESOURCE_EXHAUSTED, "TOO_MANY_KEYS", details=(delay,)))
    assert later.retry_after_s == 1.5


@pytest.mark.parametrize(
    "raw", [b"garbage", b"\xff" * 40, b"", Status(details=[Packed(type_url="x", value=b"\xff")]).SerializeToString()], ids=range(4)
)
def test_malformed_details_leave_the_class_of_the_code(twin: Twin, server: Scripted, raw: bytes) -> None:
    error = refused(twin, server, Refused(CODE.FAILED_PRECONDITION, raw=raw))
    assert type(error) is FailedPrecondition
    assert (error.reason, error.details) == ("", ())


def test_a_malformed_detail_leaves_the_others(twin: Twin, server: Scripted) -> None:
    broken = Packed(type_url="type.googleapis.com/mercato.v1.StockShortage", value=b"\xff\xff")
    error = refused(twin, server, Refused(CODE.FAILED_PRECONDITION, "OUT_OF_STOCK", details=(broken,)))
    assert isinstance(error, OutOfStock)
    assert tuple(error.lines) == ()


def test_a_reason_and_a_detail_of_a_newer_server_are_told_by_the_code(twin: Twin, server: Scripted) -> None:
    newer = Packed(type_url="type.googleapis.com/mercato.v2.Weather", value=b"\x08\x01")
    error = refused(twin, server, Refused(CODE.FAILED_PRECONDITION, "RAINING", details=(newer,)))
    assert type(error) is FailedPrecondition
    assert (error.reason, len(error.details)) == ("RAINING", 1)


def test_a_known_reason_with_another_code_is_of_the_class_of_its_code(twin: Twin, server: Scripted) -> None:
    error = refused(twin, server, Refused(CODE.ABORTED, "OUT_OF_STOCK"))
    assert type(error) is Aborted


def test_an_enum_of_a_newer_server_is_kept(twin: Twin, server: Scripted) -> None:
    number = Order.DESCRIPTOR.fields_by_name["status"].number
    server.script = lambda _: Order.FromString(bytes([number << 3]) + b"\xe7\x07")
    with twin.open(server.target) as client:
        assert client.orders.checkout().status == 999


def test_a_reason_of_another_domain_is_no_reason(twin: Twin, server: Scripted) -> None:
    status = Status(code=CODE.NOT_FOUND.value[0])
    status.details.add().Pack(ErrorInfo(reason="OUT_OF_STOCK", domain="example.com"))
    assert refused(twin, server, Refused(CODE.NOT_FOUND, raw=status.SerializeToString())).reason == ""


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        (Refused(CODE.INTERNAL), True),
        (Refused(CODE.UNKNOWN), True),
        (Refused(CODE.INTERNAL, "INTERNAL"), True),
        (Refused(CODE.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"), True),
        (Refused(CODE.UNAVAILABLE, "HASHING_UNAVAILABLE", metadata=(("grpc-retry-pushback-ms", "-1"),)), False),
        (Refused(CODE.UNAVAILABLE, "DATABASE_UNAVAILABLE", metadata=(("grpc-retry-pushback-ms", "-1"),)), True),
        (Refused(CODE.FAILED_PRECONDITION, "CART_EMPTY"), False),
        (Refused(CODE.NOT_FOUND), False),
    ],
    ids=lambda value: f"{value.code.name} {value.reason}" if isinstance(value, Refused) else "",
)
def test_an_error_tells_whether_its_outcome_is_known(server: Scripted, twin: Twin, answer: Refused, unknown: bool) -> None:  # noqa: FBT001
    error = refused(twin, server, answer, idempotency_key="mine")
    assert error.outcome_unknown is unknown
    assert ("repeat it with idempotency_key='mine'" in str(error)) is unknown


def test_errors_are_pickled_and_copied(twin: Twin, server: Scripted) -> None:
    error = refused(twin, server, Refused(CODE.FAILED_PRECONDITION, "OUT_OF_STOCK", details=(SHORTAGE,)), idempotency_key="mine")
    for twin_of_it in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert isinstance(twin_of_it, OutOfStock)
        assert twin_of_it is not error
        assert (str(twin_of_it), twin_of_it.details, twin_of_it.idempotency_key) == (str(error), error.details, "mine")


def test_errors_that_gRPC_makes_itself_have_no_reason(twin: Twin, server: Scripted) -> None:  # noqa: N802
    error = refused(twin, server, Refused(CODE.UNAVAILABLE, metadata=(("grpc-retry-pushback-ms", "-1"),)))
    assert type(error) is Unavailable
    assert (error.reason, error.outcome_unknown) == ("", True)


def test_each_reason_has_a_class_below_that_of_its_code() -> None:
    for reason in REASONS.values():
        kind = errors.REASONS[reason.name]
        assert issubclass(kind, MercatoError)
        assert kind.code_name == reason.code
        assert kind.__name__ in errors.__all__
    assert errors.REASONS["DATABASE_UNAVAILABLE"] is DatabaseUnavailable
