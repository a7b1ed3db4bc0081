"""Random calls by several callers to two workers: all answers and all rows must agree with a simple model of the shop."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import structlog
from google.protobuf.message import Message
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from mercato.v1.cart_pb2 import AddCartItemRequest, ClearCartRequest, RemoveCartItemRequest, SetCartItemRequest
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    CreateProductRequest,
    DeleteProductRequest,
    Product,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import (
    ORDER_STATUS_CANCELLED,
    ORDER_STATUS_DELIVERED,
    ORDER_STATUS_PAID,
    ORDER_STATUS_REFUNDED,
    ORDER_STATUS_SHIPPED,
    AdvanceOrderRequest,
    CancelOrderRequest,
    CheckoutRequest,
    OrderStatus,
)
from mercato_server.config.settings import Settings
from support.model import Model, explanations
from support.model_records import PRICE_MAX, STOCK_MAX, UNITS_MAX, Answer, Call
from support.two_workers import Seen, Stage, staged

EXAMPLES = 10
"""Examples of a round. Hypothesis draws the first ten of a run afresh; most of the others are mutations of earlier ones."""
STEPS = 20
ROUNDS_ENOUGH = 5
RANDOM_ROUNDS = 10
"""With at least this many rounds each run takes new examples; with fewer it takes the same ones each time."""
ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"

# No strategy depends on the state of the shop: after concurrent calls it may differ between runs, but examples must not.
BUYERS = st.integers(0, 2)
PRODUCTS = st.sampled_from((0, 1, 2, 0, 1, 2, 3, 4))
ORDERS = st.sampled_from((0, 0, 1, 2, 3, -1))
"""Orders counted from the latest; -1 is an absent order."""
SHIFTS = st.sampled_from((0, 0, 0, 1, 2, 3))
KEYS_SENT = st.sampled_from((None, None, None, "k1", "k2"))
QUANTITIES = st.sampled_from((1, 2, 3, 5, 600, 600, 0, UNITS_MAX, UNITS_MAX + 1))
FEW = st.integers(1, 3)
NAMES = st.sampled_from(("Ball", "Bike", "Book"))
PRICES = st.sampled_from((0, 1, 250, 1999, PRICE_MAX))
MONEY = st.builds(Money, minor_units=PRICES)
STOCKS = st.sampled_from((0, 1, 2, 3, 5, 8, STOCK_MAX))
DELTAS = st.sampled_from((-5, -2, -1, 1, 2, 5, 0, STOCK_MAX))
SKUS = st.sampled_from(("", "", "A", "B"))
ETAGS = st.sampled_from(("", "", "", "current", "old"))
REASONS = st.sampled_from(("", "because"))
PATHS = st.tuples(st.sampled_from(OrderStatus.values())) | st.sampled_from(
    (
        (ORDER_STATUS_PAID, ORDER_STATUS_SHIPPED, ORDER_STATUS_DELIVERED, ORDER_STATUS_REFUNDED),
        (ORDER_STATUS_PAID, ORDER_STATUS_SHIPPED, ORDER_STATUS_CANCELLED),
        (ORDER_STATUS_PAID, ORDER_STATUS_CANCELLED, ORDER_STATUS_PAID),
    )
)


class ShopMachine(RuleBasedStateMachine):
    """Draws calls, makes them, and compares."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        stage.run(stage.empty())
        self.model = Model(admins=(stage.admin.id,))
        self.seen = stage.run(stage.look())
        self.calls: list[Call] = []
        self.first_etags: dict[str, str] = {}
        self.last_etags: dict[str, str] = {}
        self.sound = True
        """Whether no call has failed yet, so that later differences have no earlier cause."""

    def teardown(self) -> None:
        if self.sound:
            differences = self.stage.run(self.stage.differences(self.model))
            assert not differences, "\n".join(differences)

    def make(self, *calls: Call) -> None:
        """Make calls at once; some order of them must explain all answers and the state afterwards."""
        self.sound = False
        answers, self.seen = self.stage.run(self._made(calls))
        served = list(zip(calls, answers, strict=True))
        if len(calls) == 1:
            self._follow(*served[0])
        else:
            self._explain(served)
        self.seen.note_etags(self.model)
        for subject, thing in (self.seen.products | self.seen.carts).items():
            self.first_etags.setdefault(subject, thing.etag)
            self.last_etags[subject] = thing.etag
        self.calls += calls
        self.sound = True

    async def _made(self, calls: tuple[Call, ...]) -> tuple[list[Answer], Seen]:
        return await self.stage.send(calls), await self.stage.look()

    def _follow(self, call: Call, answer: Answer) -> None:
        self.model.serve(call, answer)
        differences = self.seen.differences(self.model)
        assert not differences, f"after {call}\n" + "\n".join(differences)

    def _explain(self, served: list[tuple[Call, Answer]]) -> None:
        differences = ["no order of the calls explains the answers"]
        for model in explanations(self.model, served):
            differences = self.seen.differences(model)
            if not differences:
                self.model = model
                return
        story = [f"{call}\nwas answered: {answer.told(call)}" for call, answer in served]
        raise AssertionError("\n".join(["these calls were made at once:", *story, *differences]))

    def call(self, person: int, request: Message, key: str | None = None) -> Call:
        return Call(self.stage.people[person].id, request, key)

    def manage(self, request: Message, key: str | None) -> None:
        self.make(Call(self.stage.admin.id, request, key))

    def product(self, number: int) -> str:
        return next(itertools.islice(self.model.products, number, None), ABSENT)

    def order(self, number: int) -> str:
        """Return the id of an order, the latest first; places one if there is none yet."""
        if not self.model.orders:
            self.buy(0, 0, 1, None)
        orders = list(reversed(self.model.orders))
        return orders[number % len(orders)] if orders and number >= 0 else ABSENT

    def owner(self, order_id: str, shift: int) -> str:
        """Return the owner of an order, or the person `shift` places after the owner."""
        order = self.model.orders.get(order_id)
        ids = [person.id for person in self.stage.people]
        return ids[((ids.index(order.account_id) if order else 0) + shift) % len(ids)]

    def etag(self, which: str, subject: str) -> str:
        etags = {"current": self.last_etags, "old": self.first_etags}.get(which)
        return etags.get(subject, "unknown") if etags is not None else ""

    @initialize(stocks=st.tuples(FEW, FEW, STOCKS), prices=st.tuples(PRICES, PRICES, PRICES))
    def open(self, stocks: tuple[int, ...], prices: tuple[int, ...]) -> None:
        drafts = [Product(name="Ball", price=Money(minor_units=price), stock=stock) for stock, price in zip(stocks, prices, strict=True)]
        self.make(*(self.call(3, CreateProductRequest(product=draft)) for draft in drafts))
        self.calls.clear()

    @rule(name=NAMES, price=PRICES, stock=STOCKS, sku=SKUS, key=KEYS_SENT)
    def create(self, name: str, price: int, stock: int, sku: str, key: str | None) -> None:
        product = Product(name=name, price=Money(minor_units=price), stock=stock, sku=sku)
        self.manage(CreateProductRequest(product=product), key)

    @rule(
        number=PRODUCTS,
        fields=st.fixed_dictionaries({}, optional={"name": NAMES, "price": MONEY, "stock": STOCKS, "sku": SKUS}),
        etag=ETAGS,
        key=KEYS_SENT,
    )
    def update(self, number: int, fields: dict[str, Any], etag: str, key: str | None) -> None:
        product_id = self.product(number)
        product = Product(id=product_id, etag=self.etag(etag, product_id), **fields)
        self.manage(UpdateProductRequest(product=product), key)

    @rule(number=PRODUCTS, back=st.booleans(), etag=ETAGS, key=KEYS_SENT)
    def delete(self, number: int, back: bool, etag: str, key: str | None) -> None:  # noqa: FBT001 - drawn by name
        """Delete a product, and perhaps bring it back."""
        product_id = self.product(number)
        self.manage(DeleteProductRequest(product_id=product_id, etag=self.etag(etag, product_id)), key)
        if back:
            self.manage(UndeleteProductRequest(product_id=product_id), None)

    @rule(number=PRODUCTS, key=KEYS_SENT)
    def undelete(self, number: int, key: str | None) -> None:
        self.manage(UndeleteProductRequest(product_id=self.product(number)), key)

    @rule(number=PRODUCTS, delta=DELTAS, seen=st.none() | st.sampled_from((0, 0, 1)), stock=STOCKS, key=KEYS_SENT)
    def adjust(self, number: int, delta: int, seen: int | None, stock: int, key: str | None) -> None:
        """Change the stock by a difference, or set it with the current stock (off by `seen`) as the expected one."""
        request = AdjustStockRequest(product_id=self.product(number), delta=delta)
        if seen is not None:
            known = self.model.products.get(request.product_id)
            request.compare_and_set.expected_stock = min((known.stock if known else 0) + seen, STOCK_MAX)
            request.compare_and_set.stock = stock
        self.manage(request, key)

    @rule(buyer=BUYERS, number=PRODUCTS, quantity=QUANTITIES, key=KEYS_SENT)
    def add(self, buyer: int, number: int, quantity: int, key: str | None) -> None:
        self.make(self.call(buyer, AddCartItemRequest(product_id=self.product(number), quantity=quantity), key))

    @rule(buyer=BUYERS, number=PRODUCTS, quantity=QUANTITIES, key=KEYS_SENT)
    def set_line(self, buyer: int, number: int, quantity: int, key: str | None) -> None:
        self.make(self.call(buyer, SetCartItemRequest(product_id=self.product(number), quantity=quantity), key))

    @rule(buyer=BUYERS, number=PRODUCTS, price=PRICES, quantity=FEW)
    def reprice(self, buyer: int, number: int, price: int, quantity: int) -> None:
        """Change the price of a product in a cart, and add more units of it."""
        product_id = self.product(number)
        more = self.call(buyer, AddCartItemRequest(product_id=product_id, quantity=quantity))
        self.make(more)
        self.manage(UpdateProductRequest(product=Product(id=product_id, price=Money(minor_units=price))), None)
        self.make(more)

    @rule(buyer=BUYERS, number=PRODUCTS, everything=st.booleans(), key=KEYS_SENT)
    def remove(self, buyer: int, number: int, everything: bool, key: str | None) -> None:  # noqa: FBT001 - drawn by name
        request = ClearCartRequest() if everything else RemoveCartItemRequest(product_id=self.product(number))
        self.make(self.call(buyer, request, key))

    @rule(buyer=BUYERS, number=PRODUCTS, quantity=FEW, key=KEYS_SENT)
    def buy(self, buyer: int, number: int, quantity: int, key: str | None) -> None:
        """Add to the cart and check out, because a single checkout seldom meets a cart that can be bought."""
        self.make(self.call(buyer, SetCartItemRequest(product_id=self.product(number), quantity=quantity)))
        self.make(self.call(buyer, CheckoutRequest(), key))

    @rule(
        buyer=BUYERS,
        filled=st.none() | PRODUCTS,
        total=st.sampled_from((None, 0, 1)),
        etag=ETAGS,
        validate_only=st.booleans(),
        key=KEYS_SENT,
    )
    def checkout(
        self,
        buyer: int,
        filled: int | None,
        total: int | None,
        etag: str,
        validate_only: bool,  # noqa: FBT001 - drawn by name
        key: str | None,
    ) -> None:
        """Check out with an expected total (off by `total`) and an expected cart."""
        if filled is not None:
            self.make(self.call(buyer, SetCartItemRequest(product_id=self.product(filled), quantity=1)))
        account_id = self.stage.people[buyer].id
        request = CheckoutRequest(cart_etag=self.etag(etag, account_id), validate_only=validate_only)
        if total is not None:
            request.expected_total.minor_units = min(self.model.total(account_id) + total, PRICE_MAX)
        self.make(self.call(buyer, request, key))

    @rule(number=ORDERS, shift=SHIFTS, reason=REASONS, key=KEYS_SENT)
    def cancel(self, number: int, shift: int, reason: str, key: str | None) -> None:
        order_id = self.order(number)
        self.make(Call(self.owner(order_id, shift), CancelOrderRequest(order_id=order_id, reason=reason), key))

    @rule(person=st.sampled_from((3, 3, 3, 0)), number=ORDERS, path=PATHS, reason=REASONS, key=KEYS_SENT)
    def advance(self, person: int, number: int, path: Sequence[OrderStatus.ValueType], reason: str, key: str | None) -> None:
        """Advance an order step by step; the key is for the last step."""
        order_id = self.order(number)
        for status in path:
            request = AdvanceOrderRequest(order_id=order_id, status=status, reason=reason)
            self.make(self.call(person, request, key if status == path[-1] else None))

    @rule(number=st.integers(0, 5), key=st.sampled_from(("k1", "k2")))
    def again(self, number: int, key: str) -> None:
        """Send one of the last calls twice more with a key."""
        if number < len(self.calls):
            call = replace(self.calls[-1 - number], key=key)
            self.make(call)
            self.make(call)

    @rule(number=PRODUCTS, quantities=st.tuples(FEW, FEW, FEW), delta=st.sampled_from((0, -1, 1)), key=KEYS_SENT)
    def rush(self, number: int, quantities: tuple[int, ...], delta: int, key: str | None) -> None:
        """Let all buyers buy one product at once, while its stock is changed."""
        product_id = self.product(number)
        wanted = [SetCartItemRequest(product_id=product_id, quantity=quantity) for quantity in quantities]
        self.make(*(self.call(buyer, request) for buyer, request in enumerate(wanted)))
        calls = [self.call(buyer, CheckoutRequest(), key) for buyer in range(3)]
        change = self.call(3, AdjustStockRequest(product_id=product_id, delta=delta))
        self.make(*calls, *([change] if delta else []))

    @rule(buyer=BUYERS, number=PRODUCTS, keys=st.sampled_from((("k1",) * 3, ("k1",) * 4, ("k1", "k2", "k1"), (None, None))))
    def double_click(self, buyer: int, number: int, keys: tuple[str | None, ...]) -> None:
        """Let one buyer check out several times at once."""
        self.make(self.call(buyer, SetCartItemRequest(product_id=self.product(number), quantity=1)))
        self.make(*(self.call(buyer, CheckoutRequest(), key) for key in keys))

    @rule(number=ORDERS, shift=SHIFTS, buyer=BUYERS, status=st.sampled_from((ORDER_STATUS_PAID, ORDER_STATUS_CANCELLED)), key=KEYS_SENT)
    def tussle(self, number: int, shift: int, buyer: int, status: OrderStatus.ValueType, key: str | None) -> None:
        """Cancel and advance an order by several callers at once, while another buyer buys the units that it returns."""
        order_id = self.order(number)
        cancel = Call(self.owner(order_id, shift), CancelOrderRequest(order_id=order_id), key)
        self.make(
            cancel,
            cancel,
            self.call(3, AdvanceOrderRequest(order_id=order_id, status=status)),
            self.call(buyer, CheckoutRequest()),
        )


COMMON = {
    f"{name} {outcome}"
    for name, outcomes in {
        "Checkout": "OK replayed CART_EMPTY OUT_OF_STOCK TOTAL_CHANGED ETAG_MISMATCH IDEMPOTENCY_KEY_REUSED",
        "CancelOrder": "OK replayed ORDER_STATE ORDER_NOT_FOUND IDEMPOTENCY_KEY_REUSED",
        "AdvanceOrder": "OK ORDER_STATE ADMIN_ONLY IDEMPOTENCY_KEY_REUSED",
        "SetCartItem": "OK PRODUCT_NOT_FOUND INVALID_FIELD",
        "AddCartItem": "OK PRODUCT_NOT_FOUND",
        "RemoveCartItem": "OK",
        "ClearCart": "OK",
        "AdjustStock": "OK OUT_OF_STOCK STOCK_CHANGED PRODUCT_NOT_FOUND",
        "CreateProduct": "OK SKU_TAKEN",
        "UpdateProduct": "OK ETAG_MISMATCH SKU_TAKEN PRODUCT_NOT_FOUND",
        "DeleteProduct": "OK PRODUCT_NOT_FOUND",
        "UndeleteProduct": "OK PRODUCT_NOT_DELETED PRODUCT_NOT_FOUND",
    }.items()
    for outcome in outcomes.split()
}
"""Outcomes that must occur in enough rounds, because rounds without them prove little."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep the logs of thousands of calls out of the report, except errors."""
    kept = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    yield
    structlog.configure(**kept)


@pytest.mark.race
@pytest.mark.usefixtures("quiet")
def test_every_answer_and_all_that_is_stored_agree_with_a_simple_model(settings: Settings, race_rounds: int) -> None:
    size = hypothesis_settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        report_multiple_bugs=False,
        database=None,
        derandomize=race_rounds < RANDOM_ROUNDS,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    with staged(settings) as stage:
        for part in range(race_rounds):
            # The default argument distinguishes the rounds: a derandomized run is seeded with the text and signature of its factory.
            run_state_machine_as_test(lambda _part=part: ShopMachine(stage), settings=size)  # type: ignore[arg-type] # it is only called
        if race_rounds >= ROUNDS_ENOUGH:
            assert COMMON - stage.outcomes.keys() == set()
