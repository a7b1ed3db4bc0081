"""Calls with arbitrary content, the shop that they are made to, and the check of their answers."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import ErrorInfo

from mercato.v1.catalog_pb2 import Category, CreateCategoryRequest, DeleteProductRequest, ListProductsRequest
from mercato.v1.payment_pb2 import PAYMENT_METHOD_CASH_ON_DELIVERY, CreatePaymentRequest
from mercato.v1.tax_pb2 import CreateTaxCategoryRequest, CreateTaxRateRequest, TaxCategory, TaxRate
from mercato.v1.user_pb2 import CreateAddressRequest
from mercato_server.composition import SERVICES
from support.example_requests import make_shipments, make_shipping, new_address
from support.shop import PASSWORD, Person, Refusal, refusal
from support.two_workers import Stage

Metadata = tuple[tuple[str, str | bytes], ...]

FORBIDDEN = frozenset((grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DATA_LOSS))
OF_GRPC = frozenset((grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED))
"""Codes that gRPC itself may answer on either side, without a reason from the worker."""
OF_PYTHON = re.compile(r"Traceback|\b\w*(Error|Exception)\b|object at 0x|asyncpg|\.py\b|\bNone\b")
ANSWERS = {method.full_name: GetMessageClass(method.output_type) for service in SERVICES for method in service.methods}


@dataclass(frozen=True)
class Call:
    """One call."""

    rpc: str
    who: str
    request: bytes
    metadata: Metadata
    timeout_s: float | None

    @property
    def path(self) -> str:
        service, _, name = self.rpc.rpartition(".")
        return f"/{service}/{name}"


class Scene:
    """Accounts and the things that they own, by name. Things that a call spoils are made anew before the next call."""

    def __init__(self, stage: Stage, count: Callable[[str, str], None]) -> None:
        self.things: dict[str, str] = {}
        self._count = count
        self._stage = stage
        self._people: dict[str, Person] = {}

    def make(self, call: Call) -> None:
        """Make a call and check its answer."""
        self._stage.run(self._make(call))

    async def renew(self) -> None:
        """Make new accounts, with things to sell and to buy."""
        shop = self._stage.shop
        admin, buyer = await shop.person(admin=True), await shop.person()
        self._people = {"admin": admin, "buyer": buyer}
        ball, last, gone = [
            await shop.product(admin, name=name, stock=stock) for name, stock in (("Ball", 1_000), ("Last", 1), ("Gone", 5))
        ]
        await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=gone.id), metadata=admin.metadata)
        orders = []
        for person in (buyer, admin, buyer):
            await shop.add(person, ball)
            orders.append(await shop.checkout(person))
        paid_order_id, sent_product_id, shipment_id, sent_shipment_id = await make_shipments(shop, admin, buyer, ball.id)
        cart = await shop.add(buyer, ball)
        draft = CreateCategoryRequest(category=Category(name=f"Category {admin.id}"))
        category = await shop.catalog.CreateCategory(draft, metadata=admin.metadata)
        address = await shop.users.CreateAddress(CreateAddressRequest(address=new_address()), metadata=buyer.metadata)
        zone_id, method_id = await make_shipping(shop, admin)
        promotion = await shop.promotion(admin)
        books = CreateTaxCategoryRequest(tax_category_id="books", tax_category=TaxCategory(display_name="Books"))
        with contextlib.suppress(grpc.aio.AioRpcError):  # it may be there already
            await shop.taxes.CreateTaxCategory(books, metadata=admin.metadata)
        rate = TaxRate(country_code="DE", region=admin.id, name="VAT", rate_ppm=190_000)
        rate = await shop.taxes.CreateTaxRate(CreateTaxRateRequest(tax_rate=rate), metadata=admin.metadata)
        page = await shop.catalog.ListProducts(ListProductsRequest(page_size=1))
        self.things |= {
            "ball product_id": ball.id,
            "last product_id": last.id,
            "gone product_id": gone.id,
            "category_id": category.id,
            "shipping_zone_id": zone_id,
            "shipping_method_id": method_id,
            "promotion_id": promotion.id,
            "tax_rate_id": rate.id,
            "first order_id": orders[0].id,
            "foreign order_id": orders[1].id,
            "third order_id": orders[2].id,
            "payment_id": await self._paid(admin, orders[2].id),
            "paid order_id": paid_order_id,
            "sent product_id": sent_product_id,
            "shipment_id": shipment_id,
            "sent shipment_id": sent_shipment_id,
            "address_id": address.id,
            "session_id": await shop.session(buyer),
            "own session_id": buyer.session_id,
            "account_id": buyer.id,
            "user_id": admin.id,
            "email": buyer.email,
            "password": PASSWORD,
            "refresh_token": buyer.refresh_token,
            "page_token": page.next_page_token,
            "etag": ball.etag,
            "cart etag": cart.etag,
        }

    async def _paid(self, admin: Person, order_id: str) -> str:
        """Record cash on delivery for an order; return the payment's id."""
        request = CreatePaymentRequest(order_id=order_id, method=PAYMENT_METHOD_CASH_ON_DELIVERY)
        return (await self._stage.shop.payments.CreatePayment(request, metadata=admin.metadata)).payment.id

    async def _make(self, call: Call) -> None:
        shop = self._stage.shop
        person = self._people.get(call.who)
        metadata = (*(person.metadata if person else ()), *call.metadata)
        method: Any = shop.channel.unary_unary(call.path)
        sent = method(call.request, metadata=metadata, timeout=call.timeout_s)
        code = await sent.code()
        self._count(call.rpc, code.name)
        if code is grpc.StatusCode.OK:
            MessageToJson(ANSWERS[call.rpc].FromString(await sent))  # as the edge does
        else:
            judge(await refusal(sent))
        if person and code is grpc.StatusCode.UNAUTHENTICATED and not any(name == "authorization" for name, _ in call.metadata):
            await self.renew()


def judge(refused: Refusal) -> None:
    """Check that an error is one of the API's, with its reason, and reveals no internals."""
    assert refused.code not in FORBIDDEN, refused
    infos = [detail for detail in refused.details if isinstance(detail, ErrorInfo)]
    if not refused.details and refused.code in OF_GRPC:
        return
    assert len(infos) == 1, refused
    assert infos[0].reason, refused
    assert not OF_PYTHON.search(refused.message), refused
