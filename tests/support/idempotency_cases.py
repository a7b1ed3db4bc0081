"""A case for each RPC that supports idempotency keys, and the accounts and subjects that it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from mercato.v1.auth_pb2 import (
    ChangePasswordRequest,
    RequestPasswordResetRequest,
    ResetPasswordRequest,
    RevokeSessionRequest,
    SignUpRequest,
    VerifyEmailRequest,
)
from mercato.v1.cart_pb2 import AddCartItemRequest, RemoveCartItemRequest, SetCartItemRequest, UpdateCartHeaderRequest
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    Category,
    CreateCategoryRequest,
    CreateProductGroupRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductGroupRequest,
    DeleteProductRequest,
    Product,
    ProductGroup,
    UndeleteProductRequest,
    UpdateCategoryRequest,
    UpdateProductGroupRequest,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.fulfillment_pb2 import (
    CancelOrderItemsRequest,
    CancelShipmentRequest,
    CreateReturnRequest,
    CreateShipmentRequest,
    DeliverShipmentRequest,
    OrderUnits,
    ShipShipmentRequest,
)
from mercato.v1.media_pb2 import SetProductPicturesRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import ORDER_STATUS_PAID, AdvanceOrderRequest, CancelOrderRequest, CheckoutRequest, CreateOrderNoteRequest
from mercato.v1.payment_pb2 import (
    PAYMENT_METHOD_CASH,
    CancelPaymentRequest,
    CapturePaymentRequest,
    CreatePaymentRequest,
    CreateRefundRequest,
    ResolvePaymentEventRequest,
)
from mercato.v1.promotion_pb2 import (
    PROMOTION_KIND_PERCENT,
    ArchivePromotionCodeRequest,
    ArchivePromotionRequest,
    CreatePromotionCodeRequest,
    CreatePromotionRequest,
    GeneratePromotionCodesRequest,
    Promotion,
    UpdatePromotionRequest,
)
from mercato.v1.shipping_pb2 import (
    ArchiveShippingMethodRequest,
    ArchiveShippingZoneRequest,
    CreateShippingMethodRequest,
    CreateShippingZoneRequest,
    ShippingMethod,
    ShippingZone,
    UpdateShippingMethodRequest,
    UpdateShippingZoneRequest,
)
from mercato.v1.shop_pb2 import Shop as ShopSettings
from mercato.v1.shop_pb2 import UpdateShopRequest
from mercato.v1.tax_pb2 import (
    ArchiveTaxCategoryRequest,
    ArchiveTaxRateRequest,
    CreateTaxCategoryRequest,
    CreateTaxRateRequest,
    TaxCategory,
    TaxRate,
    UpdateTaxCategoryRequest,
    UpdateTaxRateRequest,
)
from mercato.v1.user_pb2 import (
    Address,
    CreateAddressRequest,
    DeleteAddressRequest,
    UpdateAddressRequest,
    UpdateMeRequest,
    UpdateUserRequest,
)
from support.example_requests import (
    EVERYTHING,
    EXAMPLE_REQUESTS,
    NEW_PASSWORD,
    Subjects,
    Watched,
    a_method,
    make_subjects,
    new_address,
    unused_name,
)
from support.shop import CALL_S, PASSWORD, Person, Shop
from support.two_workers import METHODS

PRICE = 1999
ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
NO_TOKEN = "mot_" + "A" * 43
REPLAYED = ("idempotent-replayed", "true")


@dataclass(frozen=True)
class World:
    """Callers, and two sets of subjects for the buyer's requests. The buyer and the other user have both products in their carts."""

    admin: Person
    boss: Person
    buyer: Person
    other: Person
    first: Subjects
    second: Subjects
    neighbours_session: str
    neighbours_address: str

    def person(self, role: str) -> Person | None:
        return getattr(self, role) if role else None


async def new_world(shop: Shop, case: "Case | None" = None) -> World:
    """Make the accounts, and the subjects that they need: those of a case and an account, or all."""
    wanted = {"email", *case.subjects()} if case else EVERYTHING
    admin, boss, buyer, other = [await shop.person(admin=admin) for admin in (True, True, False, False)]
    first, second = [await make_subjects(shop, admin, buyer, wanted) for _ in range(2)]
    for person in (buyer, other):
        for subjects in (first, second):
            await shop.add(person, Product(id=subjects.product_id))
    address = await shop.users.CreateAddress(CreateAddressRequest(address=new_address()), metadata=other.metadata)
    return World(admin, boss, buyer, other, first, second, await shop.session(other), address.id)


Make = Callable[[World], Message]


@dataclass(frozen=True)
class Case:
    """The calls of an RPC with a key."""

    rpc: str
    people: tuple[str, str]
    """The caller, and a neighbour whose keys have another scope."""
    table: str
    """The table that the call writes."""
    refused: Make | None
    """A request that is refused because of its content; None if there is none."""
    another: Make | None = None
    """A request that differs from the first, for RPCs whose example for the second subjects is equal or cannot follow the first."""
    neighbours: Make | None = None
    """A request of a neighbour who cannot send `other`."""

    @property
    def caller(self) -> str:
        return self.people[0]

    @property
    def neighbour(self) -> str:
        return self.people[1]

    def subjects(self) -> set[str]:
        """Return the names of the subjects that its requests name."""
        stranger, subjects = Person("", "", ""), Watched()
        world = World(stranger, stranger, stranger, stranger, subjects, subjects, "", "")
        for make in (self.first, self.other, self.theirs, self.refused):
            if make:
                make(world)
        return subjects.read

    def first(self, world: World) -> Message:
        return EXAMPLE_REQUESTS[self.rpc](world.first)

    def other(self, world: World) -> Message:
        """Return another request, which the caller can send after the first."""
        return self.another(world) if self.another else EXAMPLE_REQUESTS[self.rpc](world.second)

    def theirs(self, world: World) -> Message:
        """Return a request that the neighbour can send."""
        return self.neighbours(world) if self.neighbours else self.other(world)


ADMIN = ("admin", "boss")
BUYER = ("buyer", "other")
ANYONE = ("", "boss")
"""Keys of anonymous calls have another scope than those of an administrator."""


def rename(_world: World) -> UpdateMeRequest:
    return UpdateMeRequest(full_name="Theirs")


def percent(**fields: Any) -> Promotion:
    return Promotion(**{"name": "Sale", "kind": PROMOTION_KIND_PERCENT, "percent_ppm": 1, **fields})


CASES = {
    case.rpc: case
    for case in (
        Case("RequestPasswordReset", ANYONE, "mails", lambda _: RequestPasswordResetRequest(email="nobody"), neighbours=rename),
        Case(
            "ResetPassword",
            ANYONE,
            "accounts",
            lambda _: ResetPasswordRequest(token=NO_TOKEN, new_password=NEW_PASSWORD),
            neighbours=rename,
        ),
        Case("VerifyEmail", ANYONE, "accounts", lambda _: VerifyEmailRequest(token=NO_TOKEN), neighbours=rename),
        Case("RequestEmailVerification", BUYER, "mails", None, another=rename),
        Case(
            "RevokeSession",
            BUYER,
            "sessions",
            lambda _: RevokeSessionRequest(session_id=ABSENT),
            neighbours=lambda world: RevokeSessionRequest(session_id=world.neighbours_session),
        ),
        Case(
            "ChangePassword",
            BUYER,
            "accounts",
            lambda _: ChangePasswordRequest(current_password="wrong", new_password=NEW_PASSWORD),
            another=lambda _: ChangePasswordRequest(current_password=NEW_PASSWORD, new_password=PASSWORD),
            neighbours=lambda _: ChangePasswordRequest(current_password=PASSWORD, new_password="another-secret-9"),
        ),
        Case(
            "SignUp", ("", "buyer"), "accounts", lambda world: SignUpRequest(email=world.buyer.email, password=PASSWORD), neighbours=rename
        ),
        Case("UpdateMe", BUYER, "accounts", lambda _: UpdateMeRequest(full_name="x" * 201)),
        Case("CreateAddress", BUYER, "addresses", lambda _: CreateAddressRequest(address=Address())),
        Case(
            "UpdateAddress",
            BUYER,
            "addresses",
            lambda world: UpdateAddressRequest(address=new_address(id=world.neighbours_address)),
            neighbours=lambda world: UpdateAddressRequest(address=new_address(id=world.neighbours_address)),
        ),
        Case(
            "DeleteAddress",
            BUYER,
            "addresses",
            lambda world: DeleteAddressRequest(address_id=world.neighbours_address),
            neighbours=lambda world: DeleteAddressRequest(address_id=world.neighbours_address),
        ),
        Case("UpdateUser", ADMIN, "accounts", lambda _: UpdateUserRequest(user_id=ABSENT, disabled=True)),
        Case(
            "CreateProduct",
            ADMIN,
            "products",
            lambda _: CreateProductRequest(product=Product(name="A", price=Money(minor_units=1), category_id=ABSENT)),
            another=lambda _: CreateProductRequest(product=Product(name="B", price=Money(minor_units=1))),
        ),
        Case(
            "UpdateProduct",
            ADMIN,
            "products",
            lambda world: UpdateProductRequest(product=Product(id=world.first.product_id, name="A", etag="old")),
        ),
        Case("DeleteProduct", ADMIN, "products", lambda world: DeleteProductRequest(product_id=world.first.deleted_product_id)),
        Case("UndeleteProduct", ADMIN, "products", lambda world: UndeleteProductRequest(product_id=world.first.product_id)),
        Case("AdjustStock", ADMIN, "products", lambda world: AdjustStockRequest(product_id=world.first.product_id, delta=-1000)),
        Case(
            "CreatePictureUpload",
            ADMIN,
            "picture_uploads",
            lambda _: CreateCategoryRequest(category=Category(name="")),  # the request itself has no field
            another=lambda _: CreateCategoryRequest(category=Category(name=unused_name())),
        ),
        Case(
            "SetProductPictures",
            ADMIN,
            "products",
            lambda world: SetProductPicturesRequest(product_id=world.first.product_id, etag="old"),
        ),
        Case("CreateCategory", ADMIN, "categories", lambda _: CreateCategoryRequest(category=Category(name=""))),
        Case("UpdateCategory", ADMIN, "categories", lambda _: UpdateCategoryRequest(category=Category(id=ABSENT, name="x"))),
        Case("DeleteCategory", ADMIN, "categories", lambda _: DeleteCategoryRequest(category_id=ABSENT)),
        Case("CreateProductGroup", ADMIN, "product_groups", lambda _: CreateProductGroupRequest(group=ProductGroup(name="x"))),
        Case("UpdateProductGroup", ADMIN, "product_groups", lambda _: UpdateProductGroupRequest(group=ProductGroup(id=ABSENT, name="x"))),
        Case("DeleteProductGroup", ADMIN, "product_groups", lambda _: DeleteProductGroupRequest(group_id=ABSENT)),
        Case(
            "UpsertProductGroup",
            ADMIN,
            "product_groups",
            lambda _: UpsertProductGroupRequest(group=ProductGroup(name="x", varies_by=["Size"]), variants=[Product()]),
        ),
        Case("CreateShippingZone", ADMIN, "shipping_zones", lambda _: CreateShippingZoneRequest(shipping_zone=ShippingZone(name="x"))),
        Case(
            "UpdateShippingZone",
            ADMIN,
            "shipping_zones",
            lambda _: UpdateShippingZoneRequest(shipping_zone=ShippingZone(id=ABSENT, name="x")),
        ),
        Case("ArchiveShippingZone", ADMIN, "shipping_zones", lambda _: ArchiveShippingZoneRequest(shipping_zone_id=ABSENT)),
        Case(
            "CreateShippingMethod",
            ADMIN,
            "shipping_methods",
            lambda _: CreateShippingMethodRequest(shipping_method=a_method(ABSENT)),
        ),
        Case(
            "UpdateShippingMethod",
            ADMIN,
            "shipping_methods",
            lambda _: UpdateShippingMethodRequest(shipping_method=ShippingMethod(id=ABSENT, name="x")),
        ),
        Case("ArchiveShippingMethod", ADMIN, "shipping_methods", lambda _: ArchiveShippingMethodRequest(shipping_method_id=ABSENT)),
        Case(
            "AddCartItem",
            BUYER,
            "cart_items",
            lambda world: AddCartItemRequest(product_id=world.first.product_id, quantity=1000),
            another=lambda world: AddCartItemRequest(product_id=world.first.product_id, quantity=2),
        ),
        Case(
            "SetCartItem",
            BUYER,
            "cart_items",
            lambda world: SetCartItemRequest(product_id=world.first.deleted_product_id, quantity=1),
            another=lambda world: SetCartItemRequest(product_id=world.first.product_id, quantity=6),
        ),
        Case("RemoveCartItem", BUYER, "cart_items", lambda _: RemoveCartItemRequest(product_id="ball")),
        Case("ClearCart", BUYER, "cart_items", None, another=lambda world: RemoveCartItemRequest(product_id=world.first.product_id)),
        Case(
            "UpdateCartHeader",
            BUYER,
            "carts",
            lambda _: UpdateCartHeaderRequest(shipping_method_id=ABSENT),
            another=lambda _: UpdateCartHeaderRequest(note="another"),
        ),
        Case("QuoteCart", BUYER, "quotes", None, another=lambda _: UpdateCartHeaderRequest(note="another")),
        Case(
            "Checkout",
            BUYER,
            "cart_items",
            lambda _: CheckoutRequest(expected_total=Money(minor_units=1)),
            another=lambda _: CheckoutRequest(expected_total=Money(minor_units=2 * PRICE)),
        ),
        Case("CancelOrder", ("buyer", "boss"), "orders", lambda _: CancelOrderRequest(order_id=ABSENT)),
        Case("CreateOrderNote", ADMIN, "order_notes", lambda _: CreateOrderNoteRequest(order_id=ABSENT, text="x")),
        Case("CreateShipment", ADMIN, "shipments", lambda _: CreateShipmentRequest(order_id=ABSENT)),
        Case(
            "ShipShipment",
            ADMIN,
            "shipments",
            lambda world: ShipShipmentRequest(order_id=world.first.paid_order_id, shipment_id=world.first.sent_shipment_id),
        ),
        Case(
            "DeliverShipment",
            ADMIN,
            "shipments",
            lambda world: DeliverShipmentRequest(order_id=world.first.paid_order_id, shipment_id=world.first.shipment_id),
        ),
        Case(
            "CancelShipment",
            ADMIN,
            "shipments",
            lambda world: CancelShipmentRequest(order_id=world.first.paid_order_id, shipment_id=world.first.sent_shipment_id),
        ),
        Case(
            "CreateReturn",
            ADMIN,
            "returns",
            lambda world: CreateReturnRequest(
                order_id=world.first.paid_order_id, lines=[OrderUnits(product_id=world.first.sent_product_id, quantity=2)]
            ),
        ),
        Case(
            "CancelOrderItems",
            ADMIN,
            "orders",
            lambda world: CancelOrderItemsRequest(
                order_id=world.first.order_id, lines=[OrderUnits(product_id=world.first.product_id, quantity=2)]
            ),
        ),
        Case("AdvanceOrder", ADMIN, "orders", lambda _: AdvanceOrderRequest(order_id=ABSENT, status=ORDER_STATUS_PAID)),
        Case(
            "CreatePayment",
            ADMIN,
            "payments",
            lambda world: CreatePaymentRequest(order_id=world.first.captured.order_id, method=PAYMENT_METHOD_CASH),
        ),
        Case(
            "CapturePayment",
            ADMIN,
            "payments",
            lambda world: CapturePaymentRequest(order_id=world.first.authorized.order_id, payment_id=ABSENT),
        ),
        Case(
            "CancelPayment",
            ADMIN,
            "provider_requests",
            lambda world: CancelPaymentRequest(order_id=world.first.captured.order_id, payment_id=world.first.captured.payment_id),
        ),
        Case(
            "CreateRefund",
            ADMIN,
            "refunds",
            lambda world: CreateRefundRequest(order_id=world.first.captured.order_id, amount=Money(minor_units=1_001)),
        ),
        Case("ResolvePaymentEvent", ADMIN, "provider_events", lambda _: ResolvePaymentEventRequest(payment_event_id=ABSENT)),
        Case(
            "CreatePromotion",
            ADMIN,
            "promotions",
            lambda _: CreatePromotionRequest(promotion=percent(product_ids=[ABSENT])),
            another=lambda _: CreatePromotionRequest(promotion=percent(name="Other")),
        ),
        Case(
            "UpdatePromotion",
            ADMIN,
            "promotions",
            lambda world: UpdatePromotionRequest(promotion=Promotion(id=world.first.promotion_id, name="A", etag="old")),
        ),
        Case("ArchivePromotion", ADMIN, "promotions", lambda _: ArchivePromotionRequest(promotion_id=ABSENT)),
        Case(
            "CreatePromotionCode",
            ADMIN,
            "promotion_codes",
            lambda world: CreatePromotionCodeRequest(promotion_id=world.first.promotion_id, code=world.second.promotion_code.lower()),
        ),
        Case(
            "GeneratePromotionCodes",
            ADMIN,
            "promotion_codes",
            lambda _: GeneratePromotionCodesRequest(promotion_id=ABSENT, count=1),
        ),
        Case(
            "ArchivePromotionCode",
            ADMIN,
            "promotion_codes",
            lambda world: ArchivePromotionCodeRequest(promotion_id=world.first.promotion_id, code=world.second.promotion_code),
        ),
        Case(
            "UpdateShop",
            ADMIN,
            "shop_settings",
            lambda _: UpdateShopRequest(shop=ShopSettings(country_code="XX")),
            another=lambda _: UpdateShopRequest(shop=ShopSettings(country_code="FR")),
        ),
        Case("CreateTaxCategory", ADMIN, "tax_categories", lambda _: CreateTaxCategoryRequest(tax_category_id="as-goods")),
        Case(
            "UpdateTaxCategory",
            ADMIN,
            "tax_categories",
            lambda _: UpdateTaxCategoryRequest(tax_category=TaxCategory(id="absent", display_name="x")),
        ),
        Case("ArchiveTaxCategory", ADMIN, "tax_categories", lambda _: ArchiveTaxCategoryRequest(tax_category_id="absent")),
        Case("CreateTaxRate", ADMIN, "tax_rates", lambda _: CreateTaxRateRequest(tax_rate=TaxRate(country_code="US", name="Sales tax"))),
        Case("UpdateTaxRate", ADMIN, "tax_rates", lambda _: UpdateTaxRateRequest(tax_rate=TaxRate(id=ABSENT, name="x"))),
        Case("ArchiveTaxRate", ADMIN, "tax_rates", lambda _: ArchiveTaxRateRequest(tax_rate_id=ABSENT)),
    )
}


@dataclass(frozen=True)
class Reply:
    """The answer of a call: its bytes, and whether the server marked them as a replay."""

    raw: bytes
    replayed: bool


async def call(shop: Shop, request: Message, who: Person | None, key: str, *, timeout_s: float = CALL_S, **metadata: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in metadata.items()}
    method: Any = shop.channel.unary_unary(METHODS[request.DESCRIPTOR.full_name])
    sent = (*(who.metadata if who else ()), ("idempotency-key", key), *names.items())
    made = method(request.SerializeToString(), metadata=sent, timeout=timeout_s)
    raw = await made
    assert REPLAYED not in tuple(await made.trailing_metadata())
    return Reply(raw, REPLAYED in tuple(await made.initial_metadata()))
