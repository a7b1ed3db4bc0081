"""Records of the shop's model (calls, answers, products, cart lines, orders, etags), and their messages in replies."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.text_format import MessageToString
from grpc import StatusCode

from mercato.v1 import cart_pb2, catalog_pb2, order_pb2
from mercato.v1.cart_pb2 import Cart, CartLine, CartWarning
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import (
    ORDER_STATUS_CANCELLED,
    ORDER_STATUS_DELIVERED,
    ORDER_STATUS_PAID,
    ORDER_STATUS_PLACED,
    ORDER_STATUS_REFUNDED,
    ORDER_STATUS_SHIPPED,
    OrderLine,
    OrderTransition,
    StockShortage,
)
from support.shop import Refusal

CURRENCY = "USD"
LINES_MAX = 200
UNITS_MAX = 1_000
STOCK_MAX = 1_000_000_000
PRICE_MAX = 1_000_000_000_000

NEXT: Mapping[order_pb2.OrderStatus.ValueType, tuple[order_pb2.OrderStatus.ValueType, ...]] = {
    ORDER_STATUS_PLACED: (ORDER_STATUS_PAID, ORDER_STATUS_CANCELLED),
    ORDER_STATUS_PAID: (ORDER_STATUS_SHIPPED, ORDER_STATUS_CANCELLED, ORDER_STATUS_REFUNDED),
    ORDER_STATUS_SHIPPED: (ORDER_STATUS_DELIVERED, ORDER_STATUS_REFUNDED),
    ORDER_STATUS_DELIVERED: (ORDER_STATUS_REFUNDED,),
    ORDER_STATUS_CANCELLED: (),
    ORDER_STATUS_REFUNDED: (),
}
FULFILLED: Mapping[order_pb2.OrderStatus.ValueType, order_pb2.FulfillmentStatus.ValueType] = {
    ORDER_STATUS_SHIPPED: order_pb2.FULFILLMENT_STATUS_SHIPPED,
    ORDER_STATUS_DELIVERED: order_pb2.FULFILLMENT_STATUS_DELIVERED,
    ORDER_STATUS_CANCELLED: order_pb2.FULFILLMENT_STATUS_CANCELLED,
}
"""The status of the units after a step; later ones are greater."""
REPLIES: dict[type[Message], type[Message]] = {
    GetMessageClass(method.input_type): GetMessageClass(method.output_type)
    for module in (catalog_pb2, cart_pb2, order_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True)
class Call:
    """A request with its caller and its idempotency key."""

    account_id: str
    request: Message
    key: str | None = None

    def __str__(self) -> str:
        return f"{type(self.request).__name__}({_line(self.request)}) of {self.account_id} with key {self.key}"


@dataclass(frozen=True)
class Answer:
    """The server's answer: serialized bytes, or a refusal."""

    raw: bytes = b""
    replayed: bool = False
    refusal: Refusal | None = None

    def told(self, call: Call) -> str:
        """Return the answer as readable text."""
        if self.refusal:
            return f"{self.refusal.code.name} {self.refusal.reason} {self.refusal.metadata} {self.refusal.message}"
        return f"{'replayed ' * self.replayed}{_line(parse(call, self))}"


class Refused(Exception):
    """A refusal by the model; with metadata None the model does not predict the metadata."""

    def __init__(
        self, code: StatusCode, reason: str, metadata: Mapping[str, object] | None = None, shortage: StockShortage | None = None
    ) -> None:
        super().__init__(code, reason, metadata, shortage)
        self.code, self.reason, self.shortage = code, reason, shortage
        self.metadata = metadata if metadata is None else {name: str(value) for name, value in metadata.items()}

    def agrees(self, refusal: Refusal) -> bool:
        """Return whether the server refused with the same error."""
        return (
            (refusal.code, refusal.reason) == (self.code, self.reason)
            and (self.metadata is None or refusal.metadata == self.metadata)
            and (self.shortage is None or refusal.detail(StockShortage) == self.shortage)
        )


@dataclass(frozen=True)
class Product:
    """A product; `revision` counts its changes, and `stock_revision` those of its stock."""

    id: str
    name: str
    price: int
    stock: int
    sku: str
    on_sale: bool = True
    revision: int = 0
    stock_revision: int = 0

    @property
    def content(self) -> tuple[object, ...]:
        """The content that its etag stands for."""
        return self.id, self.revision, self.stock_revision

    def message(self) -> catalog_pb2.Product:
        message = catalog_pb2.Product(id=self.id, name=self.name, price=money(self.price), sku=self.sku, stock=self.stock)
        if not self.on_sale:
            message.delete_time.SetInParent()
        return message


@dataclass(frozen=True)
class Line:
    """Units of a product in a cart, and the price that the buyer has seen: when the line was added or last set."""

    quantity: int
    seen_price: int


@dataclass(frozen=True)
class Order:
    """An order: the reply to its checkout, and its statuses since."""

    account_id: str
    lines: tuple[OrderLine, ...]
    history: tuple[OrderTransition, ...]
    key: str | None = None

    @property
    def status(self) -> order_pb2.OrderStatus.ValueType:
        return self.history[-1].status

    @property
    def total(self) -> int:
        return sum(line.line_total.minor_units for line in self.lines)

    def message(self, order_id: str) -> order_pb2.Order:
        return order_pb2.Order(
            id=order_id,
            status=self.history[-1].status,
            lines=[self._line(line) for line in self.lines],
            total=money(self.total),
            account_id=self.account_id,
            history=self.history,
            etag=str(len(self.history)) if order_id else "",
            payment_status=self._payment_status(),
            fulfillment_status=max(FULFILLED.get(step.status, order_pb2.FULFILLMENT_STATUS_UNFULFILLED) for step in self.history),
        )

    def _has_been(self, status: order_pb2.OrderStatus.ValueType) -> bool:
        return any(step.status == status for step in self.history)

    def _payment_status(self) -> order_pb2.PaymentStatus.ValueType:
        """Return the status of the money: an order is paid as a whole, and all goes back when it is cancelled or refunded."""
        is_paid = self._has_been(ORDER_STATUS_PAID) and self.total > 0
        match self.status:
            case order_pb2.ORDER_STATUS_CANCELLED:
                return order_pb2.PAYMENT_STATUS_REFUNDED if is_paid else order_pb2.PAYMENT_STATUS_VOIDED
            case order_pb2.ORDER_STATUS_REFUNDED:
                return order_pb2.PAYMENT_STATUS_REFUNDED
        return order_pb2.PAYMENT_STATUS_PAID if is_paid or self.total == 0 else order_pb2.PAYMENT_STATUS_UNPAID

    def _line(self, bought: OrderLine) -> OrderLine:
        """Return a line with the fate of its units, which all have the same."""
        line = OrderLine()
        line.CopyFrom(bought)
        if self._has_been(ORDER_STATUS_SHIPPED):
            line.shipped = line.quantity
        if self._has_been(ORDER_STATUS_DELIVERED):
            line.delivered = line.quantity
        if self.status == ORDER_STATUS_CANCELLED:
            line.cancelled = line.quantity
        if self._payment_status() == order_pb2.PAYMENT_STATUS_REFUNDED and line.line_total.minor_units:
            line.refunded.CopyFrom(line.line_total)
        return line


class Etags:
    """The content of each etag that was seen; etags and contents must correspond one to one."""

    def __init__(self) -> None:
        self._contents: dict[str, tuple[object, ...]] = {}
        self._etags: dict[tuple[object, ...], str] = {}

    def see(self, etag: str, content: tuple[object, ...]) -> None:
        assert etag
        assert self._contents.setdefault(etag, content) == content, f"etag {etag} stands for two contents"
        assert self._etags.setdefault(content, etag) == etag, f"{content} has two etags"

    def content(self, etag: str) -> tuple[object, ...]:
        return self._contents.get(etag, ())


def predictable(message: Reply) -> Reply:
    """Return a reply without the values that a model does not predict: times, etags, messages, and the names of orders and buyers."""
    known = type(message)()
    known.CopyFrom(message)
    if isinstance(known, catalog_pb2.Product):
        deleted = known.HasField("delete_time")
        _clear([known], "etag", "slug", "create_time", "update_time", "delete_time")
        if deleted:
            known.delete_time.SetInParent()
    elif isinstance(known, Cart):
        _clear([known], "etag")
        _clear(itertools.chain.from_iterable(line.warnings for line in known.lines), "message")
    elif isinstance(known, order_pb2.Order):
        _clear([known], "number", "contact_email", "create_time", "update_time")
        _clear(known.history, "create_time")
    return known


def _clear(messages: Iterable[Message], *fields: str) -> None:
    for message in messages:
        for name in fields:
            message.ClearField(name)


def money(minor_units: int) -> Money:
    return Money(currency_code=CURRENCY, minor_units=minor_units)


def cart_line(product: Product, line: Line) -> CartLine:
    warnings = []
    if not product.on_sale:
        warnings = [CartWarning(code=cart_pb2.CART_WARNING_CODE_PRODUCT_GONE)]
    else:
        if product.stock == 0:
            warnings.append(CartWarning(code=cart_pb2.CART_WARNING_CODE_OUT_OF_STOCK))
        elif product.stock < line.quantity:
            warnings.append(CartWarning(code=cart_pb2.CART_WARNING_CODE_FEWER_LEFT, available=product.stock))
        if product.price != line.seen_price:
            changed = cart_pb2.CART_WARNING_CODE_PRICE_CHANGED
            warnings.append(CartWarning(code=changed, previous_unit_price=money(line.seen_price)))
    return CartLine(
        product_id=product.id,
        name=product.name,
        quantity=line.quantity,
        unit_price=money(product.price),
        line_total=money(product.price * line.quantity),
        warnings=warnings,
    )


def shortage(product: Product, wanted: int) -> StockShortage.Line:
    available = product.stock if product.on_sale else 0
    return StockShortage.Line(product_id=product.id, product_name=product.name, wanted=wanted, available=available)


def out_of_stock(lines: Sequence[StockShortage.Line]) -> Refused:
    values = {
        f"{name}_{number}" if number > 1 else name: getattr(line, name)
        for number, line in enumerate(lines, 1)
        for name in ("product_name", "wanted", "available")
    }
    return Refused(StatusCode.FAILED_PRECONDITION, "OUT_OF_STOCK", values, StockShortage(lines=lines))


def agree(expected: Message | bytes | Refused, call: Call, answer: Answer) -> bool:
    if isinstance(expected, Refused) or answer.refusal:
        return isinstance(expected, Refused) and answer.refusal is not None and expected.agrees(answer.refusal)
    if isinstance(expected, bytes):
        return (answer.replayed, answer.raw) == (True, expected)
    return not answer.replayed and predictable(parse(call, answer)) == expected


def _line(message: Message) -> str:
    return MessageToString(message, as_one_line=True)


def parse(call: Call, answer: Answer) -> Message:
    return REPLIES[type(call.request)].FromString(answer.raw)


def status_name(status: order_pb2.OrderStatus.ValueType) -> str:
    return order_pb2.OrderStatus.Name(status).removeprefix("ORDER_STATUS_")
