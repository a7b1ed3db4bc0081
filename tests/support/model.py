"""A model of the shop in plain Python, which gives the expected answer and effect of each call.

It is written from the protos, not from the server. It serves one call at a time: some order of concurrent calls must explain their answers.
"""

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod

from google.protobuf.message import Message
from grpc import StatusCode

from mercato.v1.cart_pb2 import AddCartItemRequest, Cart, ClearCartRequest, RemoveCartItemRequest, SetCartItemRequest
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    CreateProductRequest,
    DeleteProductRequest,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from mercato.v1.order_pb2 import (
    ORDER_ACTOR_ADMIN,
    ORDER_ACTOR_BUYER,
    ORDER_ACTOR_SYSTEM,
    ORDER_STATUS_CANCELLED,
    ORDER_STATUS_PAID,
    ORDER_STATUS_PLACED,
    ORDER_STATUS_REFUNDED,
    AdvanceOrderRequest,
    CancelOrderRequest,
    CheckoutRequest,
    OrderLine,
    OrderStatus,
    OrderTransition,
)
from support.model_records import (
    LINES_MAX,
    NEXT,
    STOCK_MAX,
    UNITS_MAX,
    Answer,
    Call,
    Etags,
    Line,
    Order,
    Product,
    Refused,
    agree,
    cart_line,
    money,
    out_of_stock,
    parse,
    shortage,
    status_name,
)

NOTHING_TO_PAY = OrderTransition(status=ORDER_STATUS_PAID, actor=ORDER_ACTOR_SYSTEM, reason="nothing is to be paid")
FOR_ADMINS = (
    *(CreateProductRequest, UpdateProductRequest, DeleteProductRequest, UndeleteProductRequest),
    *(AdjustStockRequest, AdvanceOrderRequest),
)


@dataclass(frozen=True)
class Model:
    """The state of the shop. Its records are immutable, so that a copy costs little."""

    admins: Collection[str]
    etags: Etags = field(default_factory=Etags)
    products: dict[str, Product] = field(default_factory=dict)
    carts: dict[str, dict[str, Line]] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    ledger: Counter[tuple[str, str, int, str | None]] = field(default_factory=Counter)
    """Rows of (product, kind, delta, order)."""
    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows of (kind, subject) about products and orders."""
    keys: dict[tuple[str, str], tuple[Message, bytes]] = field(default_factory=dict)
    """The request and the answered bytes of each (account, key)."""

    def copy(self) -> "Model":
        carts = {account_id: dict(cart) for account_id, cart in self.carts.items()}
        ledger, events = Counter(self.ledger), Counter(self.events)
        return Model(self.admins, self.etags, dict(self.products), carts, dict(self.orders), ledger, events, dict(self.keys))

    def serve(self, call: Call, answer: Answer) -> None:
        """Apply a call; raises AssertionError if the server's answer differs from the model's."""
        expected: Message | bytes | Refused
        try:
            expected = self._reply(call, answer)
        except Refused as refused:
            expected = refused
        assert agree(expected, call, answer), f"{call}\nwas answered: {answer.told(call)}\nbut must be: {expected!r}"

    def _reply(self, call: Call, answer: Answer) -> Message | bytes:
        """Return the reply, or the bytes of an earlier one that is replayed."""
        request = call.request
        if isinstance(request, FOR_ADMINS) and call.account_id not in self.admins:
            raise Refused(StatusCode.PERMISSION_DENIED, "ADMIN_ONLY", {})
        if not _valid(request):
            raise Refused(StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        place = (call.account_id, call.key) if call.key and not getattr(request, "validate_only", False) else None
        if place and place in self.keys:
            first, raw = self.keys[place]
            if first != request:
                raise Refused(StatusCode.INVALID_ARGUMENT, "IDEMPOTENCY_KEY_REUSED", {"field": "idempotency-key"})
            return raw
        reply = self._serve(request, call, getattr(parse(call, answer), "id", ""))
        if place:
            self.keys[place] = (request, answer.raw)
        return reply

    @singledispatchmethod
    def _serve(self, request: Message, call: Call, made: str) -> Message:
        """Apply a request; `made` is the id that the server gave to a new resource."""
        raise NotImplementedError(type(request))

    @_serve.register
    def _create(self, request: CreateProductRequest, _call: Call, made: str) -> Message:
        wanted = request.product
        self._free_sku(wanted.sku)
        assert made not in self.products
        self.ledger[made, "initial", wanted.stock, None] += 1
        return self._put(Product(made, wanted.name, wanted.price.minor_units, wanted.stock, wanted.sku), "created")

    @_serve.register
    def _update(self, request: UpdateProductRequest, _call: Call, _made: str) -> Message:
        wanted = request.product
        product = self._on_sale(wanted.id)
        self._check_etag(product, wanted.etag, with_stock=wanted.HasField("stock"))
        changed = replace(
            product,
            name=wanted.name or product.name,
            price=wanted.price.minor_units if wanted.HasField("price") else product.price,
            stock=wanted.stock if wanted.HasField("stock") else product.stock,
            sku=wanted.sku or product.sku,
        )
        self._free_sku(changed.sku, product.id)
        if changed.stock != product.stock:
            self.ledger[product.id, "adjust", changed.stock - product.stock, None] += 1
            changed = replace(changed, stock_revision=changed.stock_revision + 1)
        return self._put(changed, "updated")

    @_serve.register
    def _delete(self, request: DeleteProductRequest, _call: Call, _made: str) -> Message:
        product = self._on_sale(request.product_id)
        self._check_etag(product, request.etag, with_stock=False)
        return self._put(replace(product, on_sale=False), "deleted")

    @_serve.register
    def _undelete(self, request: UndeleteProductRequest, _call: Call, _made: str) -> Message:
        product = self.products.get(request.product_id)
        if not product:
            raise Refused(StatusCode.NOT_FOUND, "PRODUCT_NOT_FOUND", {"ids": request.product_id})
        if product.on_sale:
            raise Refused(StatusCode.FAILED_PRECONDITION, "PRODUCT_NOT_DELETED", {})
        self._free_sku(product.sku)
        return self._put(replace(product, on_sale=True), "undeleted")

    @_serve.register
    def _adjust(self, request: AdjustStockRequest, _call: Call, _made: str) -> Message:
        product = self._on_sale(request.product_id)
        stock = product.stock + request.delta
        if request.HasField("compare_and_set"):
            expected, stock = request.compare_and_set.expected_stock, request.compare_and_set.stock
            if expected != product.stock:
                raise Refused(StatusCode.ABORTED, "STOCK_CHANGED", {"expected_stock": expected, "stock": product.stock})
        if stock < 0:
            raise out_of_stock([shortage(product, product.stock - stock)])
        if stock > max(STOCK_MAX, product.stock):
            raise Refused(StatusCode.FAILED_PRECONDITION, "STOCK_LIMIT", {"stock": product.stock})
        self._move(product.id, stock - product.stock, "adjust")
        return self.products[product.id].message()

    @_serve.register
    def _add(self, request: AddCartItemRequest, call: Call, _made: str) -> Message:
        line = self.cart(call.account_id).get(request.product_id)
        quantity = request.quantity + (line.quantity if line else 0)
        return self._set(call.account_id, request.product_id, quantity, line.seen_price if line else None)

    @_serve.register
    def _set_line(self, request: SetCartItemRequest, call: Call, _made: str) -> Message:
        if request.quantity == 0:
            return self._drop(call.account_id, request.product_id)
        return self._set(call.account_id, request.product_id, request.quantity)

    @_serve.register
    def _remove(self, request: RemoveCartItemRequest, call: Call, _made: str) -> Message:
        return self._drop(call.account_id, request.product_id)

    @_serve.register
    def _clear(self, _request: ClearCartRequest, call: Call, _made: str) -> Message:
        self.cart(call.account_id).clear()
        return self.cart_message(call.account_id)

    @_serve.register
    def _checkout(self, request: CheckoutRequest, call: Call, made: str) -> Message:
        cart = self.cart(call.account_id)
        bought = [(self.products[product_id], cart[product_id].quantity) for product_id in sorted(cart)]
        self._check_terms(call.account_id, request, bought)
        order = Order(
            call.account_id,
            tuple(
                OrderLine(
                    product_id=product.id,
                    product_name=product.name,
                    unit_price=money(product.price),
                    quantity=quantity,
                    line_total=money(product.price * quantity),
                )
                for product, quantity in bought
            ),
            (OrderTransition(status=ORDER_STATUS_PLACED, actor=ORDER_ACTOR_BUYER),),
            call.key,
        )
        if request.validate_only:
            return order.message("")
        assert made
        assert made not in self.orders
        self.events["order.placed", made] += 1
        if order.total == 0:
            order = replace(order, history=(*order.history, NOTHING_TO_PAY))
            self.events["order.paid", made] += 1
        self.orders[made] = order
        for product, quantity in bought:
            self._move(product.id, -quantity, "sale", made)
        cart.clear()
        return order.message(made)

    @_serve.register
    def _cancel(self, request: CancelOrderRequest, call: Call, _made: str) -> Message:
        return self._move_on(call, request, ORDER_STATUS_CANCELLED)

    @_serve.register
    def _advance(self, request: AdvanceOrderRequest, call: Call, _made: str) -> Message:
        return self._move_on(call, request, request.status)

    def _move_on(self, call: Call, request: CancelOrderRequest | AdvanceOrderRequest, status: OrderStatus.ValueType) -> Message:
        order = self.orders.get(request.order_id)
        if not order or call.account_id not in {order.account_id, *self.admins}:
            raise Refused(StatusCode.NOT_FOUND, "ORDER_NOT_FOUND", {"ids": request.order_id})
        if status not in NEXT[order.status]:
            allowed = ",".join(map(status_name, NEXT[order.status]))
            raise Refused(StatusCode.FAILED_PRECONDITION, "ORDER_STATE", {"status": status_name(order.status), "allowed": allowed})
        if status == ORDER_STATUS_REFUNDED and order.total == 0:
            raise Refused(StatusCode.FAILED_PRECONDITION, "PAYMENT_STATE", {})
        actor = ORDER_ACTOR_BUYER if call.account_id == order.account_id else ORDER_ACTOR_ADMIN
        step = OrderTransition(status=status, actor=actor, reason=request.reason)
        order = self.orders[request.order_id] = replace(order, history=(*order.history, step))
        self.events[f"order.{status_name(status).lower()}", request.order_id] += 1
        if status == ORDER_STATUS_CANCELLED:
            for line in order.lines:
                self._move(line.product_id, line.quantity, "cancel", request.order_id)
        return order.message(request.order_id)

    def cart(self, account_id: str) -> dict[str, Line]:
        return self.carts.setdefault(account_id, {})

    def cart_message(self, account_id: str) -> Cart:
        lines = [cart_line(self.products[product_id], line) for product_id, line in self.cart(account_id).items()]
        return Cart(lines=lines, total=money(self.total(account_id)))

    def cart_content(self, account_id: str) -> tuple[object, ...]:
        """Return the content that the cart's etag stands for."""
        cart = self.cart(account_id)
        found = [self.products[product_id] for product_id in sorted(cart)]
        return tuple((product.id, cart[product.id].quantity, product.price, product.on_sale) for product in found)

    def orders_of(self, account_id: str) -> list[str]:
        """Return the ids of an account's orders, newest first."""
        return [order_id for order_id, order in reversed(self.orders.items()) if order.account_id == account_id]

    def total(self, account_id: str) -> int:
        wanted = [(self.products[product_id], line.quantity) for product_id, line in self.cart(account_id).items()]
        return sum(product.price * quantity for product, quantity in wanted if product.on_sale)

    def _on_sale(self, product_id: str) -> Product:
        product = self.products.get(product_id)
        if not product or not product.on_sale:
            raise Refused(StatusCode.NOT_FOUND, "PRODUCT_NOT_FOUND", {"ids": product_id})
        return product

    def _free_sku(self, sku: str, product_id: str = "") -> None:
        if sku and any(other.sku == sku and other.on_sale and other.id != product_id for other in self.products.values()):
            raise Refused(StatusCode.ALREADY_EXISTS, "SKU_TAKEN", {"sku": sku})

    def _check_etag(self, product: Product, etag: str, *, with_stock: bool) -> None:
        """Refuse an etag of an older product. Its stock may have moved since, unless the change sets it."""
        parts = 3 if with_stock else 2
        if etag and self.etags.content(f"{product.id} {etag}")[:parts] != product.content[:parts]:
            raise Refused(StatusCode.ABORTED, "ETAG_MISMATCH")

    def _check_terms(self, account_id: str, request: CheckoutRequest, bought: Sequence[tuple[Product, int]]) -> None:
        if not bought:
            raise Refused(StatusCode.FAILED_PRECONDITION, "CART_EMPTY", {})
        if request.cart_etag and self.etags.content(request.cart_etag) != self.cart_content(account_id):
            raise Refused(StatusCode.ABORTED, "ETAG_MISMATCH")
        short = [(product, quantity) for product, quantity in bought if not product.on_sale or product.stock < quantity]
        if short:
            raise out_of_stock([shortage(product, quantity) for product, quantity in short])
        total, expected = self.total(account_id), request.expected_total.minor_units
        if request.HasField("expected_total") and expected != total:
            raise Refused(StatusCode.ABORTED, "TOTAL_CHANGED", {"expected_total": expected, "total": total})

    def _put(self, product: Product, what: str) -> Message:
        self.products[product.id] = replace(product, revision=product.revision + 1)
        self.events[f"product.{what}", product.id] += 1
        return product.message()

    def _move(self, product_id: str, delta: int, kind: str, order_id: str | None = None) -> None:
        product = self.products[product_id]
        self.products[product_id] = replace(product, stock=product.stock + delta, stock_revision=product.stock_revision + 1)
        self.ledger[product_id, kind, delta, order_id] += 1

    def _set(self, account_id: str, product_id: str, quantity: int, seen_price: int | None = None) -> Message:
        product, cart = self._on_sale(product_id), self.cart(account_id)
        if quantity > UNITS_MAX:
            raise Refused(StatusCode.FAILED_PRECONDITION, "CART_LIMIT", {"lines": LINES_MAX, "units": UNITS_MAX})
        cart[product_id] = Line(quantity, product.price if seen_price is None else seen_price)
        return self.cart_message(account_id)

    def _drop(self, account_id: str, product_id: str) -> Message:
        self.cart(account_id).pop(product_id, None)
        return self.cart_message(account_id)


def explanations(model: Model, calls: Sequence[tuple[Call, Answer]]) -> Iterator[Model]:
    """Yield the model after each order of the calls in which the model gives the real answers."""
    if not calls:
        yield model
    for index, (call, answer) in enumerate(calls):
        after = model.copy()
        with contextlib.suppress(AssertionError):
            after.serve(call, answer)
            yield from explanations(after, [*calls[:index], *calls[index + 1 :]])


def _valid(request: Message) -> bool:
    """Return whether a request is well formed, for the kinds of malformed requests that the test makes."""
    match request:
        case AddCartItemRequest():
            return 1 <= request.quantity <= UNITS_MAX
        case SetCartItemRequest():
            return 0 <= request.quantity <= UNITS_MAX
        case AdjustStockRequest():
            return bool(request.delta) or request.HasField("compare_and_set")
        case AdvanceOrderRequest():
            return request.status in NEXT
        case _:
            return True
