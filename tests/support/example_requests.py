"""A valid request for each RPC, and the subjects that must exist for it."""

import itertools
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.auth_pb2 import (
    ChangePasswordRequest,
    CreateGuestRequest,
    DeleteMeRequest,
    ExportMeRequest,
    GetJwksRequest,
    ListSessionsRequest,
    LoginFormRequest,
    LoginRequest,
    LogoutAllRequest,
    LogoutRequest,
    RefreshRequest,
    RequestEmailVerificationRequest,
    RequestPasswordResetRequest,
    ResetPasswordRequest,
    RevokeSessionRequest,
    SignUpRequest,
    VerifyEmailRequest,
)
from mercato.v1.cart_pb2 import (
    AddCartItemRequest,
    ClearCartRequest,
    GetCartHeaderRequest,
    GetCartRequest,
    GetShippingOptionsRequest,
    QuoteCartRequest,
    RemoveCartItemRequest,
    SetCartItemRequest,
    UpdateCartHeaderRequest,
)
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    BatchGetProductsRequest,
    Category,
    CreateCategoryRequest,
    CreateProductGroupRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductGroupRequest,
    DeleteProductRequest,
    GetCategoryRequest,
    GetProductGroupRequest,
    GetProductRequest,
    GetSlugRequest,
    ListCategoriesRequest,
    ListProductGroupsRequest,
    ListProductsRequest,
    Product,
    ProductGroup,
    ProductOption,
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
    GetShipmentRequest,
    ListReturnsRequest,
    ListShipmentsRequest,
    OrderUnits,
    ShipShipmentRequest,
)
from mercato.v1.media_pb2 import (
    CompletePictureUploadRequest,
    CreatePictureUploadRequest,
    GetPictureRequest,
    GetPictureUploadRequest,
    SetProductPicturesRequest,
    UploadPictureContentRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import (
    ORDER_STATUS_PAID,
    AdvanceOrderRequest,
    CancelOrderRequest,
    CheckoutRequest,
    CreateOrderNoteRequest,
    GetLinkedOrderRequest,
    GetOrderRequest,
    ListAllOrdersRequest,
    ListOrderNotesRequest,
    ListOrdersRequest,
)
from mercato.v1.payment_pb2 import (
    PAYMENT_METHOD_CASH,
    CancelPaymentRequest,
    CapturePaymentRequest,
    CreatePaymentRequest,
    CreateRefundRequest,
    GetPaymentRequest,
    HandlePaymentEventRequest,
    ListAllPaymentsRequest,
    ListAllRefundsRequest,
    ListDisputesRequest,
    ListPaymentEventsRequest,
    ListPaymentRequestsRequest,
    ListPaymentsRequest,
    ListRefundsRequest,
    ResolvePaymentEventRequest,
)
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato.v1.promotion_pb2 import (
    PROMOTION_KIND_PERCENT,
    ArchivePromotionCodeRequest,
    ArchivePromotionRequest,
    CreatePromotionCodeRequest,
    CreatePromotionRequest,
    GeneratePromotionCodesRequest,
    GetPromotionRequest,
    ListPromotionCodesRequest,
    ListPromotionsRequest,
    Promotion,
    UpdatePromotionRequest,
)
from mercato.v1.shipping_pb2 import (
    SHIPPING_RATE_BASIS_WEIGHT,
    ArchiveShippingMethodRequest,
    ArchiveShippingZoneRequest,
    CreateShippingMethodRequest,
    CreateShippingZoneRequest,
    GetShippingMethodRequest,
    GetShippingZoneRequest,
    ListShippingMethodsRequest,
    ListShippingZonesRequest,
    ShippingArea,
    ShippingMethod,
    ShippingRate,
    ShippingTier,
    ShippingZone,
    UpdateShippingMethodRequest,
    UpdateShippingZoneRequest,
)
from mercato.v1.shop_pb2 import GetShopRequest, UpdateShopRequest
from mercato.v1.shop_pb2 import Shop as ShopSettings
from mercato.v1.tax_pb2 import (
    ArchiveTaxCategoryRequest,
    ArchiveTaxRateRequest,
    CreateTaxCategoryRequest,
    CreateTaxRateRequest,
    GetTaxCategoryRequest,
    GetTaxRateRequest,
    ListTaxCategoriesRequest,
    ListTaxRatesRequest,
    TaxCategory,
    TaxRate,
    UpdateTaxCategoryRequest,
    UpdateTaxRateRequest,
)
from mercato.v1.user_pb2 import (
    ROLE_ADMIN,
    Address,
    CreateAddressRequest,
    DeleteAddressRequest,
    GetAddressRequest,
    GetAdminOnlyRequest,
    GetMeRequest,
    GetUserRequest,
    ListAddressesRequest,
    ListUsersRequest,
    UpdateAddressRequest,
    UpdateMeRequest,
    UpdateUserRequest,
)
from mercato_server.security.order_links import OrderLinks
from support.example_payments import PaidOrder, an_event, an_order
from support.one_time_tokens import issue
from support.shop import A_PICTURE, PASSWORD, SECRET, Person, Shop

NEW_PASSWORD = "another-secret-1"
ARCHIVE_OLD = """
WITH methods AS (
    UPDATE shipping_methods
       SET archived_at = now()
     WHERE archived_at IS NULL AND id NOT IN (SELECT id FROM shipping_methods ORDER BY id DESC LIMIT 50)
)
UPDATE shipping_zones
   SET archived_at = now()
 WHERE archived_at IS NULL AND id NOT IN (SELECT id FROM shipping_zones ORDER BY id DESC LIMIT 100)
"""
_numbers = itertools.count(1)


class Subjects(Protocol):
    """The subjects that the requests name. Checkout also needs a line in the caller's cart."""

    @property
    def email(self) -> str:
        """Address of an account whose password is PASSWORD."""

    @property
    def refresh_token(self) -> str:
        """A refresh token that has not been used."""

    @property
    def reset_token(self) -> str:
        """One-time token of a mail that sets a new password."""

    @property
    def verification_token(self) -> str:
        """One-time token of a mail that verifies an address."""

    @property
    def user_id(self) -> str:
        """An account without the role of an administrator."""

    @property
    def address_id(self) -> str:
        """An address of the caller."""

    @property
    def session_id(self) -> str:
        """A session of the caller."""

    @property
    def link_token(self) -> str:
        """The token of the link that shows the order."""

    @property
    def order_id(self) -> str:
        """An order of the caller with status PLACED, of one unit of `product_id`."""

    @property
    def product_id(self) -> str:
        """A product that is on sale."""

    @property
    def upload_id(self) -> str:
        """An upload of a picture that waits for its file."""

    @property
    def received_upload_id(self) -> str:
        """An upload of a picture whose file has come."""

    @property
    def picture_name(self) -> str:
        """The name of a rendition."""

    @property
    def pending(self) -> PaidOrder:
        """An order of the caller whose payment is pending at a provider."""

    @property
    def authorized(self) -> PaidOrder:
        """An order of the caller that is paid in cash on delivery."""

    @property
    def captured(self) -> PaidOrder:
        """An order of the caller that was paid in cash."""

    @property
    def payment_event_id(self) -> str:
        """A quarantined notice of a provider."""

    @property
    def paid_order_id(self) -> str:
        """A paid order of the caller, of three units of `sent_product_id`: one is in each of both shipments, one in none."""

    @property
    def sent_product_id(self) -> str:
        """The product of the paid order."""

    @property
    def shipment_id(self) -> str:
        """A shipment of the paid order that has not left."""

    @property
    def sent_shipment_id(self) -> str:
        """A shipment of the paid order that has left."""

    @property
    def deleted_product_id(self) -> str:
        """A deleted product."""

    @property
    def category_id(self) -> str:
        """A category without products."""

    @property
    def group_id(self) -> str:
        """A group of products without variants."""

    @property
    def category_slug(self) -> str:
        """The slug of a category."""

    @property
    def shipping_zone_id(self) -> str:
        """A shipping zone for which no method has a rate."""

    @property
    def shipping_method_id(self) -> str:
        """A shipping method."""

    @property
    def promotion_id(self) -> str:
        """A promotion of 10 % that needs a code and is not archived."""

    @property
    def promotion_code(self) -> str:
        """A code of the promotion that is not archived."""

    @property
    def tax_category_id(self) -> str:
        """A tax category without rates."""

    @property
    def tax_rate_id(self) -> str:
        """A tax rate that is not archived."""


@dataclass(frozen=True)
class ShopSubjects:
    """Subjects that exist before the first request is made."""

    email: str
    refresh_token: str
    reset_token: str
    verification_token: str
    user_id: str
    address_id: str
    session_id: str
    order_id: str
    link_token: str
    """The token of the link that shows the order."""
    product_id: str
    deleted_product_id: str
    category_id: str
    group_id: str
    category_slug: str
    shipping_zone_id: str
    shipping_method_id: str
    promotion_id: str
    promotion_code: str
    tax_category_id: str
    tax_rate_id: str
    upload_id: str
    received_upload_id: str
    picture_name: str
    pending: PaidOrder
    authorized: PaidOrder
    captured: PaidOrder
    payment_event_id: str
    paid_order_id: str
    sent_product_id: str
    shipment_id: str
    sent_shipment_id: str


def new_group() -> ProductGroup:
    """Return a group of products that differ in size."""
    return ProductGroup(name="Shirt", varies_by=["Size"])


def existing_group(group_id: str) -> ProductGroup:
    """Return such a group as it exists."""
    group = new_group()
    group.id = group_id
    return group


def new_variant(size: str) -> Product:
    """Return a variant of such a group."""
    return Product(name=f"Shirt {size}", price=Money(minor_units=1), options=[ProductOption(name="Size", value=size)])


# A shop that many tests share stays below its limit. The categories of the subjects that were made last are still needed.
ARCHIVE_EARLIER = """
UPDATE tax_categories
   SET archived_at = now()
 WHERE archived_at IS NULL AND created_at < (SELECT created_at FROM tax_categories ORDER BY created_at DESC OFFSET 50 LIMIT 1)
"""


@dataclass
class Watched:
    """Subjects that only remember which of them were read."""

    read: set[str] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return PaidOrder("", "") if name in PAID_ORDERS else ""


PAID_ORDERS = {each.name for each in fields(ShopSubjects) if each.type is PaidOrder}
EVERYTHING = frozenset(each.name for each in fields(ShopSubjects))


async def make_subjects(shop: Shop, admin: Person, caller: Person, wanted: Collection[str] = EVERYTHING) -> ShopSubjects:
    """Make the subjects of a caller's requests, of which some need only a few; the others are empty.

    The account among them is another one than the caller's.
    """
    found: dict[str, Any] = {name: PaidOrder("", "") if name in PAID_ORDERS else "" for name in EVERYTHING}
    found["product_id"] = (await shop.product(admin, stock=100)).id
    found["picture_name"] = A_PICTURE
    for make, makes in MAKERS.items():
        if not set(makes).isdisjoint(wanted):
            found |= zip(makes, await make(shop, admin, caller, found["product_id"]), strict=True)
    return ShopSubjects(**found)


async def make_account(shop: Shop, *_: object) -> tuple[str, ...]:
    other = await shop.person()
    return (
        other.email,
        other.refresh_token,
        await issue(shop.pool, other, "reset_password"),
        await issue(shop.pool, other, "verify_email"),
        other.id,
    )


async def make_address(shop: Shop, _admin: Person, caller: Person, _product_id: str) -> tuple[str]:
    address = await shop.users.CreateAddress(CreateAddressRequest(address=new_address()), metadata=caller.metadata)
    return (address.id,)


async def make_session(shop: Shop, _admin: Person, caller: Person, _product_id: str) -> tuple[str]:
    return (await shop.session(caller),)


async def make_order(shop: Shop, _admin: Person, caller: Person, product_id: str) -> tuple[str, str]:
    await shop.add(caller, Product(id=product_id))
    order = await shop.checkout(caller)
    return order.id, OrderLinks(SECRET).of(UUID(order.id))


async def make_deleted_product(shop: Shop, admin: Person, *_: object) -> tuple[str]:
    deleted = await shop.product(admin)
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=deleted.id), metadata=admin.metadata)
    return (deleted.id,)


async def make_category(shop: Shop, admin: Person, *_: object) -> tuple[str, str]:
    draft = CreateCategoryRequest(category=Category(name=unused_name()))
    category = await shop.catalog.CreateCategory(draft, metadata=admin.metadata)
    return category.id, category.slug


async def make_group(shop: Shop, admin: Person, *_: object) -> tuple[str]:
    group = await shop.catalog.CreateProductGroup(CreateProductGroupRequest(group=new_group()), metadata=admin.metadata)
    return (group.id,)


async def make_promotion(shop: Shop, admin: Person, *_: object) -> tuple[str, str]:
    promotion = await shop.promotion(admin)
    return promotion.id, (await shop.code(admin, promotion, unused_code())).code


async def make_tax(shop: Shop, admin: Person, *_: object) -> tuple[str, str]:
    await shop.pool.execute(ARCHIVE_EARLIER)
    category = await shop.taxes.CreateTaxCategory(new_tax_category(), metadata=admin.metadata)
    rate = await shop.taxes.CreateTaxRate(new_tax_rate(), metadata=admin.metadata)
    return category.id, rate.id


async def make_payments(shop: Shop, _admin: Person, caller: Person, product_id: str) -> tuple[PaidOrder, ...]:
    return tuple([await an_order(shop.pool, caller.id, product_id, state) for state in ("pending", "authorized", "captured")])


async def make_event(shop: Shop, *_: object) -> tuple[str]:
    return (await an_event(shop.pool),)


async def make_upload(shop: Shop, *_: object) -> tuple[str]:
    return (await an_upload(shop.pool),)


async def make_received_upload(shop: Shop, *_: object) -> tuple[str]:
    return (await a_received_upload(shop.pool),)


async def an_upload(pool: Any) -> str:
    """Make an upload of a picture."""
    return str(await pool.fetchval("INSERT INTO picture_uploads (expires_at) VALUES (now() + interval '1 hour') RETURNING id"))


async def a_received_upload(pool: Any) -> str:
    """Make an upload of a picture whose file no worker verifies."""
    return str(await pool.fetchval("INSERT INTO picture_uploads (state, file, expires_at) VALUES ('pending', 'x', now()) RETURNING id"))


async def make_shipments(shop: Shop, admin: Person, buyer: Person, _product_id: str) -> tuple[str, str, str, str]:
    """Make a paid order of three units, and two shipments of one unit each, of which the second has left; return all ids."""
    product = await shop.product(admin)
    await shop.add(buyer, product, 3)
    order = await shop.checkout(buyer)
    await shop.orders.AdvanceOrder(AdvanceOrderRequest(order_id=order.id, status=ORDER_STATUS_PAID), metadata=admin.metadata)
    units = [OrderUnits(product_id=product.id, quantity=1)]
    new = CreateShipmentRequest(order_id=order.id, lines=units)
    first, second = [await shop.fulfillment.CreateShipment(new, metadata=admin.metadata) for _ in "12"]
    await shop.fulfillment.ShipShipment(ShipShipmentRequest(order_id=order.id, shipment_id=second.id), metadata=admin.metadata)
    return order.id, product.id, first.id, second.id


async def make_shipping(shop: Shop, admin: Person, *_: object) -> tuple[str, str]:
    """Make a zone without methods, and a method with a zone of its own. Older ones are archived: many worlds share a shop with a limit."""
    await shop.pool.execute(ARCHIVE_OLD)
    zones = [
        await shop.shipping.CreateShippingZone(CreateShippingZoneRequest(shipping_zone=a_zone()), metadata=admin.metadata) for _ in "12"
    ]
    draft = CreateShippingMethodRequest(shipping_method=a_method(zones[1].id))
    method = await shop.shipping.CreateShippingMethod(draft, metadata=admin.metadata)
    return zones[0].id, method.id


MAKERS: Mapping[Callable[[Shop, Person, Person, str], Awaitable[tuple[Any, ...]]], tuple[str, ...]] = {
    make_account: ("email", "refresh_token", "reset_token", "verification_token", "user_id"),
    make_address: ("address_id",),
    make_session: ("session_id",),
    make_order: ("order_id", "link_token"),
    make_deleted_product: ("deleted_product_id",),
    make_category: ("category_id", "category_slug"),
    make_group: ("group_id",),
    make_shipping: ("shipping_zone_id", "shipping_method_id"),
    make_promotion: ("promotion_id", "promotion_code"),
    make_tax: ("tax_category_id", "tax_rate_id"),
    make_upload: ("upload_id",),
    make_received_upload: ("received_upload_id",),
    make_payments: ("pending", "authorized", "captured"),
    make_event: ("payment_event_id",),
    make_shipments: ("paid_order_id", "sent_product_id", "shipment_id", "sent_shipment_id"),
}
"""The subjects that each function makes together. A cart is empty when an order is made, so orders come before other lines."""


def a_zone() -> ShippingZone:
    """Return a zone with an area that no other zone has in this run."""
    return ShippingZone(name=unused_name(), areas=[ShippingArea(country_code="US", postal_prefix=f"{next(_numbers):05}")])


def a_method(zone_id: str) -> ShippingMethod:
    """Return a method that delivers to a zone."""
    tiers = [ShippingTier(start=0, price=Money(minor_units=499))]
    return ShippingMethod(name=unused_name(), rates=[ShippingRate(shipping_zone_id=zone_id, basis=SHIPPING_RATE_BASIS_WEIGHT, tiers=tiers)])


def a_unit(product_id: str) -> OrderUnits:
    """Return one unit of a product."""
    return OrderUnits(product_id=product_id, quantity=1)


def unused_name() -> str:
    """Return a name that is unique in this run."""
    return f"Example {next(_numbers)}"


def unused_code() -> str:
    """Return a code that no promotion has."""
    return f"EXAMPLE-{next(_numbers)}"


def unused_email() -> str:
    """Return an address that no account has."""
    return f"example-{next(_numbers)}@example.com"


def new_address(**fields: Any) -> Address:
    """Return an address in Ghana, where region and postal code may be any text, because its addresses have none."""
    street = f"{next(_numbers)} Independence Ave"
    return Address(postal_address=PostalAddress(country_code="GH", recipient="Jo Doe", street_lines=[street], city="Accra"), **fields)


def unused_category_id() -> str:
    """Return an id that no tax category has."""
    return f"example-{next(_numbers)}"


def new_tax_category() -> CreateTaxCategoryRequest:
    return CreateTaxCategoryRequest(tax_category_id=unused_category_id(), tax_category=TaxCategory(display_name="Books"))


def new_tax_rate() -> CreateTaxRateRequest:
    """Return a request for a rate of a region that has none."""
    return CreateTaxRateRequest(tax_rate=TaxRate(country_code="US", region=unused_name(), name="Sales tax", rate_ppm=72_500))


def login_form(email: str) -> HttpBody:
    return HttpBody(content_type="application/json", data=json.dumps({"username": email, "password": PASSWORD}).encode())


def payment_event() -> HttpBody:
    """Return a notice of Stripe. It is refused without its signature, and by a shop without Stripe."""
    return HttpBody(content_type="application/json", data=json.dumps({"object": "event", "id": "evt_1"}).encode())


EXAMPLE_REQUESTS: Mapping[str, Callable[[Subjects], Message]] = {
    "SignUp": lambda _: SignUpRequest(email=unused_email(), password=PASSWORD, full_name="Jo Doe"),
    "Login": lambda of: LoginRequest(email=of.email, password=PASSWORD),
    "LoginForm": lambda of: LoginFormRequest(form=login_form(of.email)),
    "CreateGuest": lambda _: CreateGuestRequest(),
    "Refresh": lambda of: RefreshRequest(refresh_token=of.refresh_token),
    "Logout": lambda _: LogoutRequest(),
    "LogoutAll": lambda _: LogoutAllRequest(),
    "ListSessions": lambda _: ListSessionsRequest(),
    "RevokeSession": lambda of: RevokeSessionRequest(session_id=of.session_id),
    "ChangePassword": lambda _: ChangePasswordRequest(current_password=PASSWORD, new_password=NEW_PASSWORD),
    "ExportMe": lambda _: ExportMeRequest(),
    "DeleteMe": lambda _: DeleteMeRequest(password=PASSWORD),
    "RequestPasswordReset": lambda of: RequestPasswordResetRequest(email=of.email),
    "ResetPassword": lambda of: ResetPasswordRequest(token=of.reset_token, new_password=NEW_PASSWORD),
    "RequestEmailVerification": lambda _: RequestEmailVerificationRequest(),
    "VerifyEmail": lambda of: VerifyEmailRequest(token=of.verification_token),
    "GetJwks": lambda _: GetJwksRequest(),
    "GetMe": lambda _: GetMeRequest(),
    "UpdateMe": lambda _: UpdateMeRequest(full_name=unused_name()),
    "GetAdminOnly": lambda _: GetAdminOnlyRequest(),
    "ListUsers": lambda _: ListUsersRequest(),
    "GetUser": lambda of: GetUserRequest(user_id=of.user_id),
    "ListAddresses": lambda _: ListAddressesRequest(),
    "GetAddress": lambda of: GetAddressRequest(address_id=of.address_id),
    "CreateAddress": lambda _: CreateAddressRequest(address=new_address()),
    "UpdateAddress": lambda of: UpdateAddressRequest(address=new_address(id=of.address_id)),
    "DeleteAddress": lambda of: DeleteAddressRequest(address_id=of.address_id),
    "UpdateUser": lambda of: UpdateUserRequest(user_id=of.user_id, role=ROLE_ADMIN),
    "ListAuditLog": lambda _: ListAuditLogRequest(),
    "ListProducts": lambda _: ListProductsRequest(),
    "GetProduct": lambda of: GetProductRequest(product_id=of.product_id),
    "BatchGetProducts": lambda of: BatchGetProductsRequest(ids=[of.product_id]),
    "CreateProduct": lambda _: CreateProductRequest(product=Product(name="Kite", price=Money(minor_units=1), stock=3)),
    "UpdateProduct": lambda of: UpdateProductRequest(product=Product(id=of.product_id, name="Kite", price=Money(minor_units=1), stock=7)),
    "DeleteProduct": lambda of: DeleteProductRequest(product_id=of.product_id),
    "UndeleteProduct": lambda of: UndeleteProductRequest(product_id=of.deleted_product_id),
    "AdjustStock": lambda of: AdjustStockRequest(product_id=of.product_id, delta=1),
    "ListCategories": lambda _: ListCategoriesRequest(),
    "GetCategory": lambda of: GetCategoryRequest(category_id=of.category_id),
    "GetSlug": lambda of: GetSlugRequest(kind="category", slug=of.category_slug),
    "CreateCategory": lambda _: CreateCategoryRequest(category=Category(name=unused_name())),
    "UpdateCategory": lambda of: UpdateCategoryRequest(category=Category(id=of.category_id, name=unused_name())),
    "DeleteCategory": lambda of: DeleteCategoryRequest(category_id=of.category_id),
    "ListProductGroups": lambda _: ListProductGroupsRequest(),
    "GetProductGroup": lambda of: GetProductGroupRequest(group_id=of.group_id),
    "CreateProductGroup": lambda _: CreateProductGroupRequest(group=ProductGroup(name=unused_name(), varies_by=["Size"])),
    "UpdateProductGroup": lambda of: UpdateProductGroupRequest(group=ProductGroup(id=of.group_id, name=unused_name())),
    "DeleteProductGroup": lambda of: DeleteProductGroupRequest(group_id=of.group_id),
    "UpsertProductGroup": lambda of: UpsertProductGroupRequest(group=existing_group(of.group_id), variants=[new_variant("M")]),
    "CreatePictureUpload": lambda _: CreatePictureUploadRequest(),
    "UploadPictureContent": lambda of: UploadPictureContentRequest(upload_id=of.upload_id, content=HttpBody(data=b"a file")),
    "CompletePictureUpload": lambda of: CompletePictureUploadRequest(upload_id=of.received_upload_id),
    "GetPictureUpload": lambda of: GetPictureUploadRequest(upload_id=of.upload_id),
    "SetProductPictures": lambda of: SetProductPicturesRequest(product_id=of.product_id),
    "GetPicture": lambda of: GetPictureRequest(name=of.picture_name),
    "GetCart": lambda _: GetCartRequest(),
    "AddCartItem": lambda of: AddCartItemRequest(product_id=of.product_id),
    "SetCartItem": lambda of: SetCartItemRequest(product_id=of.product_id, quantity=2),
    "RemoveCartItem": lambda of: RemoveCartItemRequest(product_id=of.product_id),
    "ClearCart": lambda _: ClearCartRequest(),
    "GetCartHeader": lambda _: GetCartHeaderRequest(),
    "UpdateCartHeader": lambda _: UpdateCartHeaderRequest(note=unused_name()),
    "GetShippingOptions": lambda _: GetShippingOptionsRequest(),
    "QuoteCart": lambda _: QuoteCartRequest(),
    "Checkout": lambda _: CheckoutRequest(),
    "ListOrders": lambda _: ListOrdersRequest(),
    "GetOrder": lambda of: GetOrderRequest(order_id=of.order_id),
    "GetLinkedOrder": lambda of: GetLinkedOrderRequest(order_id=of.order_id, token=of.link_token),
    "CancelOrder": lambda of: CancelOrderRequest(order_id=of.order_id, reason="why not"),
    "ListAllOrders": lambda _: ListAllOrdersRequest(),
    "CreateOrderNote": lambda of: CreateOrderNoteRequest(order_id=of.order_id, text="Wrap it"),
    "ListOrderNotes": lambda of: ListOrderNotesRequest(order_id=of.order_id),
    "CreatePayment": lambda of: CreatePaymentRequest(order_id=of.order_id, method=PAYMENT_METHOD_CASH),
    "GetPayment": lambda of: GetPaymentRequest(order_id=of.captured.order_id, payment_id=of.captured.payment_id),
    "ListPayments": lambda of: ListPaymentsRequest(order_id=of.captured.order_id),
    "CapturePayment": lambda of: CapturePaymentRequest(order_id=of.authorized.order_id, payment_id=of.authorized.payment_id),
    "CancelPayment": lambda of: CancelPaymentRequest(order_id=of.pending.order_id, payment_id=of.pending.payment_id),
    "CreateRefund": lambda of: CreateRefundRequest(order_id=of.captured.order_id, amount=Money(minor_units=400), reason="a scratch"),
    "ListRefunds": lambda of: ListRefundsRequest(order_id=of.captured.order_id),
    "ListAllPayments": lambda _: ListAllPaymentsRequest(),
    "ListAllRefunds": lambda _: ListAllRefundsRequest(),
    "ListDisputes": lambda _: ListDisputesRequest(),
    "ListPaymentRequests": lambda _: ListPaymentRequestsRequest(),
    "ListPaymentEvents": lambda _: ListPaymentEventsRequest(),
    "ResolvePaymentEvent": lambda of: ResolvePaymentEventRequest(payment_event_id=of.payment_event_id),
    "HandlePaymentEvent": lambda _: HandlePaymentEventRequest(provider="stripe", event=payment_event()),
    "CreateShipment": lambda of: CreateShipmentRequest(order_id=of.order_id, carrier="DHL"),
    "ListShipments": lambda of: ListShipmentsRequest(order_id=of.paid_order_id),
    "GetShipment": lambda of: GetShipmentRequest(order_id=of.paid_order_id, shipment_id=of.shipment_id),
    "ShipShipment": lambda of: ShipShipmentRequest(order_id=of.paid_order_id, shipment_id=of.shipment_id, carrier="DHL"),
    "DeliverShipment": lambda of: DeliverShipmentRequest(order_id=of.paid_order_id, shipment_id=of.sent_shipment_id),
    "CancelShipment": lambda of: CancelShipmentRequest(order_id=of.paid_order_id, shipment_id=of.shipment_id),
    "CreateReturn": lambda of: CreateReturnRequest(order_id=of.paid_order_id, lines=[a_unit(of.sent_product_id)], restock=True),
    "ListReturns": lambda of: ListReturnsRequest(order_id=of.paid_order_id),
    "CancelOrderItems": lambda of: CancelOrderItemsRequest(order_id=of.order_id, lines=[a_unit(of.product_id)], reason="broken"),
    "ListShippingZones": lambda _: ListShippingZonesRequest(),
    "GetShippingZone": lambda of: GetShippingZoneRequest(shipping_zone_id=of.shipping_zone_id),
    "CreateShippingZone": lambda _: CreateShippingZoneRequest(shipping_zone=a_zone()),
    "UpdateShippingZone": lambda of: UpdateShippingZoneRequest(shipping_zone=ShippingZone(id=of.shipping_zone_id, name=unused_name())),
    "ArchiveShippingZone": lambda of: ArchiveShippingZoneRequest(shipping_zone_id=of.shipping_zone_id),
    "ListShippingMethods": lambda _: ListShippingMethodsRequest(),
    "GetShippingMethod": lambda of: GetShippingMethodRequest(shipping_method_id=of.shipping_method_id),
    "CreateShippingMethod": lambda of: CreateShippingMethodRequest(shipping_method=a_method(of.shipping_zone_id)),
    "UpdateShippingMethod": lambda of: UpdateShippingMethodRequest(
        shipping_method=ShippingMethod(id=of.shipping_method_id, name=unused_name())
    ),
    "ArchiveShippingMethod": lambda of: ArchiveShippingMethodRequest(shipping_method_id=of.shipping_method_id),
    "AdvanceOrder": lambda of: AdvanceOrderRequest(order_id=of.order_id, status=ORDER_STATUS_PAID),
    "ListPromotions": lambda _: ListPromotionsRequest(),
    "GetPromotion": lambda of: GetPromotionRequest(promotion_id=of.promotion_id),
    "CreatePromotion": lambda _: CreatePromotionRequest(
        promotion=Promotion(name="Sale", kind=PROMOTION_KIND_PERCENT, percent_ppm=200_000, needs_code=True, usage_limit=50)
    ),
    "UpdatePromotion": lambda of: UpdatePromotionRequest(promotion=Promotion(id=of.promotion_id, name=unused_name(), percent_ppm=50_000)),
    "ArchivePromotion": lambda of: ArchivePromotionRequest(promotion_id=of.promotion_id),
    "ListPromotionCodes": lambda of: ListPromotionCodesRequest(promotion_id=of.promotion_id),
    "CreatePromotionCode": lambda of: CreatePromotionCodeRequest(promotion_id=of.promotion_id, code=unused_code(), usage_limit=5),
    "GeneratePromotionCodes": lambda of: GeneratePromotionCodesRequest(promotion_id=of.promotion_id, count=3, prefix="EX-"),
    "ArchivePromotionCode": lambda of: ArchivePromotionCodeRequest(promotion_id=of.promotion_id, code=of.promotion_code),
    "GetShop": lambda _: GetShopRequest(),
    "UpdateShop": lambda _: UpdateShopRequest(shop=ShopSettings(country_code="DE")),
    "ListTaxCategories": lambda _: ListTaxCategoriesRequest(),
    "GetTaxCategory": lambda of: GetTaxCategoryRequest(tax_category_id=of.tax_category_id),
    "CreateTaxCategory": lambda _: new_tax_category(),
    "UpdateTaxCategory": lambda of: UpdateTaxCategoryRequest(tax_category=TaxCategory(id=of.tax_category_id, display_name=unused_name())),
    "ArchiveTaxCategory": lambda of: ArchiveTaxCategoryRequest(tax_category_id=of.tax_category_id),
    "ListTaxRates": lambda _: ListTaxRatesRequest(),
    "GetTaxRate": lambda of: GetTaxRateRequest(tax_rate_id=of.tax_rate_id),
    "CreateTaxRate": lambda _: new_tax_rate(),
    "UpdateTaxRate": lambda of: UpdateTaxRateRequest(tax_rate=TaxRate(id=of.tax_rate_id, name=unused_name())),
    "ArchiveTaxRate": lambda of: ArchiveTaxRateRequest(tax_rate_id=of.tax_rate_id),
}
"""Requests by the name of their RPC."""
