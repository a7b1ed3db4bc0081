"""The filters of lists of orders."""

from datetime import datetime
from typing import Literal

from mercato.v1 import order_pb2
from mercato_server.domain import order_numbers
from mercato_server.domain.order_filters import NUMBER_TEXT_MAX, STATUSES_MAX, OrderFilter
from mercato_server.domain.orders import OrderStatus
from mercato_server.domain.pricing import AMOUNT_MAX
from mercato_server.handlers import convert
from mercato_server.validation.checks import Checks

_NO_STATUS = "must be a status of orders, such as ORDER_STATUS_PAID"


def status(check: Checks, number: order_pb2.OrderStatus.ValueType) -> OrderStatus | None:
    """Return a status; None if the request has none."""
    if number and number not in convert.STATUS_OF:
        check.fail("status", _NO_STATUS)
    return convert.STATUS_OF.get(number)


def checked(check: Checks, request: order_pb2.ListAllOrdersRequest) -> OrderFilter:
    """Return the conditions of a request."""
    start, end = _time(check, request, "start_time"), _time(check, request, "end_time")
    if start and end and start >= end:
        check.fail("end_time", "must be after start_time")
    lowest, highest = _total(check, request, "min_total"), _total(check, request, "max_total")
    if lowest is not None and highest is not None and lowest > highest:
        check.fail("max_total", "must not be less than min_total")
    return OrderFilter(
        number=_number(check, request.number) if request.number else None,
        account_id=check.optional_uuid("account_id", request.account_id),
        contact_email=check.email("contact_email", request.contact_email) if request.contact_email else None,
        product_id=check.optional_uuid("product_id", request.product_id),
        statuses=_statuses(check, request),
        start_time=start,
        end_time=end,
        min_total_minor=lowest,
        max_total_minor=highest,
    )


def _statuses(check: Checks, request: order_pb2.ListAllOrdersRequest) -> tuple[OrderStatus, ...]:
    """Return the wanted statuses, each once. As in `status`, an unspecified one is no condition."""
    one = status(check, request.status)
    if request.status and request.statuses:
        check.fail("statuses", "must be empty if status is set")
    numbers = check.entries("statuses", request.statuses, STATUSES_MAX)
    for index, number in enumerate(numbers):
        if number and number not in convert.STATUS_OF:
            check.fail(f"statuses[{index}]", _NO_STATUS)
    return (one,) if one else tuple(convert.STATUS_OF[number] for number in sorted(set(numbers)) if number in convert.STATUS_OF)


def _number(check: Checks, typed: str) -> str:
    text = check.text("number", typed, longest=NUMBER_TEXT_MAX)
    number = order_numbers.parsed(text)
    if number is None and order_numbers.has_form(text):
        check.fail("number", "has a wrong check character, so one of its characters is mistyped")
    elif number is None:
        check.fail("number", "must be the number of an order: ten characters and a check character, such as 9QK2W-0F3XT-E")
    return number or ""


def _time(check: Checks, request: order_pb2.ListAllOrdersRequest, field: Literal["start_time", "end_time"]) -> datetime | None:
    return check.any_time(field, getattr(request, field)) if request.HasField(field) else None


def _total(check: Checks, request: order_pb2.ListAllOrdersRequest, field: Literal["min_total", "max_total"]) -> int | None:
    return check.between(field, getattr(request, field), 0, AMOUNT_MAX) if request.HasField(field) else None
