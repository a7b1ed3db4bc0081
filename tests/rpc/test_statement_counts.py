"""Each RPC sends a fixed number of statements, the same for a full cart, a full page or a long order as for one line."""

import itertools
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

import grpc
import pytest
from google.protobuf.message import Message

from mercato.v1 import policy_pb2
from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.auth_pb2 import ExportMeRequest, ListSessionsRequest
from mercato.v1.catalog_pb2 import (
    BatchGetProductsRequest,
    Category,
    GetProductRequest,
    GetSlugRequest,
    ListCategoriesRequest,
    ListProductGroupsRequest,
    ListProductsRequest,
    Product,
    ProductGroup,
    UpdateCategoryRequest,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.fulfillment_pb2 import (
    CancelOrderItemsRequest,
    CancelShipmentRequest,
    CreateReturnRequest,
    CreateShipmentRequest,
    ListReturnsRequest,
    ListShipmentsRequest,
    OrderUnits,
)
from mercato.v1.media_pb2 import SetProductPicturesRequest
from mercato.v1.order_pb2 import (
    ORDER_STATUS_PAID,
    AdvanceOrderRequest,
    CancelOrderRequest,
    CheckoutRequest,
    ListAllOrdersRequest,
    ListOrderNotesRequest,
    ListOrdersRequest,
)
from mercato.v1.payment_pb2 import (
    PAYMENT_METHOD_CASH,
    CreatePaymentRequest,
    CreateRefundRequest,
    GetPaymentRequest,
    ListAllPaymentsRequest,
    ListAllRefundsRequest,
    ListDisputesRequest,
    ListPaymentEventsRequest,
    ListPaymentRequestsRequest,
    ListPaymentsRequest,
    ListRefundsRequest,
)
from mercato.v1.promotion_pb2 import (
    GeneratePromotionCodesRequest,
    ListPromotionCodesRequest,
    ListPromotionsRequest,
    Promotion,
    UpdatePromotionRequest,
)
from mercato.v1.shipping_pb2 import (
    CreateShippingMethodRequest,
    CreateShippingZoneRequest,
    ListShippingMethodsRequest,
    ListShippingZonesRequest,
    ShippingArea,
    ShippingMethod,
    ShippingZone,
    UpdateShippingMethodRequest,
    UpdateShippingZoneRequest,
)
from mercato.v1.tax_pb2 import ListTaxCategoriesRequest, ListTaxRatesRequest
from mercato.v1.user_pb2 import GetMeRequest, ListAddressesRequest, ListUsersRequest, UpdateAddressRequest
from mercato_server.composition import SERVICES
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.carts import LINES_MAX
from mercato_server.security.order_links import OrderLinks
from mercato_server.store.slugs import give_missing
from mercato_server.worker import running
from support.databases import index_products
from support.example_payments import PaidOrder, an_event, an_order
from support.example_requests import EXAMPLE_REQUESTS, ShopSubjects, a_method, a_received_upload, an_upload, new_address, new_variant
from support.late_statements import never_late
from support.one_time_tokens import issue
from support.shop import A_PICTURE, SECRET, Person, Shop, refusal

PAGE_MAX = 100
"""Most rows of a page, or ids of a call."""
SHIPPING_MAX = 90
"""Zones and methods of the longest scene. A shop may have 100 methods."""
NUMBERS = itertools.count()
LONG_ORDERS = 8
"""Orders with a line for each product; the others have one line."""


@dataclass(frozen=True)
class Scene:
    """A shop with `size` things of each kind, and its callers."""

    size: int
    products: list[str]
    product_slug: str
    moved: str
    """A category that is moved below the parent."""
    parent: str
    orders: list[str]
    zones: list[str]
    shipments: list[str]
    """Shipments of the fourth and of the fifth order, which have not left."""
    subjects: ShopSubjects
    paid: PaidOrder
    """An order with many payments, requests, refunds and disputes; the shop has many notices."""
    buyer: Person
    goer: Person
    leaver: Person
    admin: Person

    @property
    def units(self) -> list[OrderUnits]:
        """The units of a long order."""
        return [OrderUnits(product_id=product_id, quantity=1) for product_id in self.products]

    @property
    def page(self) -> int:
        return min(self.size, PAGE_MAX)

    @property
    def few(self) -> int:
        """A page of zones or methods, of which a shop has few."""
        return min(self.size, SHIPPING_MAX)

    def zone(self, zone_id: str = "") -> ShippingZone:
        areas = [ShippingArea(country_code="US", postal_prefix=f"{next(NUMBERS):05}") for _ in range(self.size)]
        return ShippingZone(name="Zone", id=zone_id, areas=areas)

    def method(self, method_id: str = "") -> ShippingMethod:
        """Return a method with a rate for each zone but the one that is archived last."""
        rates = [rate for zone_id in self.zones[: self.few] for rate in a_method(zone_id).rates]
        return ShippingMethod(name="Method", id=method_id, rates=rates)


class Row(NamedTuple):
    rpc: str
    statements: int
    """Messages to PostgreSQL, each a round trip. BEGIN (with the timeouts of the call) is one, and so is COMMIT."""
    request: Callable[[Scene], Message] | None = None
    """None sends the example request."""
    many: str = ""
    """The field of the answer that has as many entries as the scene."""
    key: str = ""
    """An idempotency key to send; the same one again is a repeated call."""
    by: str = "buyer"
    reason: str = ""
    """The reason of the refusal, for a call that a shop without a provider refuses."""

    @property
    def label(self) -> str:
        return f"{self.rpc}({self.key})" if self.key else self.rpc


def cancel(number: int) -> Callable[[Scene], Message]:
    return lambda at: CancelOrderRequest(order_id=at.orders[number])


def list_products(**query: Any) -> Callable[[Scene], Message]:
    return lambda at: ListProductsRequest(page_size=at.page, **query)


def upsert(*, turned: bool = False) -> Callable[[Scene], Message]:
    """Return an upsert of as many variants as the scene has, one left over; `turned` adds that one and changes the SKUs of the others."""

    def request(at: Scene) -> Message:
        variants = [new_variant(str(number)) for number in range(min(at.size, LINES_MAX - 1))]
        for number, variant in enumerate(variants, 1):
            variant.sku = f"SKU {-number if turned else number}"
        if turned:
            variants.append(new_variant("another"))
        return UpsertProductGroupRequest(group=ProductGroup(name="Shirt", code="SHIRT", varies_by=["Size"]), variants=variants)

    return request


# One statement of each call that changes something or is for administrators reads the session's permissions. Calls that only read do so
# once per session, so it does not count for them.
ROWS = (
    Row("GetCart", 1, many="lines"),
    Row("AddCartItem", 3, many="lines"),
    Row("AddCartItem", 4, many="lines", key="add"),
    Row("SetCartItem", 3, many="lines"),
    Row("SetCartItem", 4, many="lines", key="set"),
    Row("RemoveCartItem", 3),
    Row("RemoveCartItem", 4, key="remove"),
    Row("ClearCart", 3),
    Row("ClearCart", 4, key="clear"),
    Row("GetCartHeader", 1),
    Row("GetShippingOptions", 1),
    Row("QuoteCart", 6),
    Row("QuoteCart", 7, key="quote"),
    Row("Checkout", 4, many="lines"),
    Row("Checkout", 4, many="lines", key="buy"),
    Row("UpdateCartHeader", 7),
    Row("UpdateCartHeader", 8, key="header"),
    Row("GetCart", 2, many="lines"),
    Row("Checkout", 5, many="lines"),
    Row("Checkout", 5, many="lines", key="buy"),  # a repeated call, which is answered from the key
    Row("Checkout", 5, lambda _: CheckoutRequest(validate_only=True), "lines"),
    Row("GetOrder", 5, many="lines"),
    Row("GetLinkedOrder", 6),
    Row("CancelOrder", 17, cancel(0), "lines"),
    Row("CancelOrder", 18, cancel(1), "lines", "cancel"),
    Row("CancelOrder", 18, cancel(2), "lines", by="admin"),
    Row("AdvanceOrder", 17, lambda at: AdvanceOrderRequest(order_id=at.orders[3], status=ORDER_STATUS_PAID), "lines"),
    Row("CancelShipment", 12, lambda at: CancelShipmentRequest(order_id=at.orders[4], shipment_id=at.shipments[1])),
    Row("CreateShipment", 13, lambda at: CreateShipmentRequest(order_id=at.orders[4]), "lines"),
    Row("CreateShipment", 14, lambda at: CreateShipmentRequest(order_id=at.orders[6]), "lines", "parcel"),
    Row("ListShipments", 2, lambda at: ListShipmentsRequest(order_id=at.orders[5], page_size=at.page), "shipments"),
    Row("GetShipment", 2, many="lines"),
    Row("ShipShipment", 16, many="lines"),
    Row("DeliverShipment", 16, many="lines"),
    Row("CreateReturn", 17, lambda at: CreateReturnRequest(order_id=at.orders[3], lines=at.units, restock=True), "lines"),
    Row("ListReturns", 2, lambda at: ListReturnsRequest(order_id=at.orders[5], page_size=at.page), "returns"),
    Row("CancelOrderItems", 18, lambda at: CancelOrderItemsRequest(order_id=at.orders[5], lines=at.units), "lines"),
    Row("ListOrders", 6, lambda at: ListOrdersRequest(page_size=at.page), "orders"),
    Row("ListAllOrders", 8, lambda at: ListAllOrdersRequest(page_size=at.page), "orders"),
    Row("ListAllOrders", 9, lambda at: ListAllOrdersRequest(page_size=at.page, account_id=at.buyer.id, max_total=10**12), "orders"),
    Row("CreateOrderNote", 8),
    Row("CreateOrderNote", 9, key="note"),
    Row("ListOrderNotes", 2, lambda at: ListOrderNotesRequest(order_id=at.orders[0], page_size=at.page), "notes"),
    Row("CreatePayment", 15, lambda at: CreatePaymentRequest(order_id=at.orders[7], method=PAYMENT_METHOD_CASH), by="admin"),
    Row("CapturePayment", 16),
    Row("CancelPayment", 15),
    Row("CreateRefund", 17),
    Row("CreateRefund", 19, lambda at: CreateRefundRequest(order_id=at.paid.order_id), key="refund"),
    Row("GetPayment", 3, lambda at: GetPaymentRequest(order_id=at.paid.order_id, payment_id=at.paid.payment_id), by="admin"),
    Row("ListPayments", 2, lambda at: ListPaymentsRequest(order_id=at.paid.order_id, page_size=at.page), "payments"),
    Row("ListRefunds", 2, lambda at: ListRefundsRequest(order_id=at.paid.order_id, page_size=at.page), "refunds"),
    Row("ListAllPayments", 2, lambda at: ListAllPaymentsRequest(page_size=at.page), "payments"),
    Row("ListAllRefunds", 2, lambda at: ListAllRefundsRequest(page_size=at.page), "refunds"),
    Row("ListDisputes", 2, lambda at: ListDisputesRequest(page_size=at.page), "disputes"),
    Row("ListPaymentRequests", 2, lambda at: ListPaymentRequestsRequest(page_size=at.page), "requests"),
    Row("ListPaymentEvents", 2, lambda at: ListPaymentEventsRequest(page_size=at.page), "events"),
    Row("ResolvePaymentEvent", 6),
    Row("HandlePaymentEvent", 0, reason="WEBHOOK_INVALID"),
    Row("GetProduct", 1),
    Row("BatchGetProducts", 1, lambda at: BatchGetProductsRequest(ids=at.products[:PAGE_MAX]), "products"),
    Row("ListProducts", 1, list_products(), "products"),
    Row("ListProducts", 1, list_products(q="ball"), "products"),
    Row("ListProducts", 2, list_products(include_total_size=True), "products"),
    Row("ListProducts", 2, list_products(q="ball", include_total_size=True), "products"),
    Row("ListProducts", 3, list_products(q="baall"), "products"),  # a typo
    Row("ListProducts", 4, list_products(q="baall", include_total_size=True), "products"),
    Row("ListProducts", 1, list_products(collapse=True), "products"),
    Row("ListProducts", 1, list_products(collapse=True, q="ball", in_stock=True), "products"),
    Row("ListProducts", 2, list_products(facets=True), "products"),
    Row("ListProducts", 3, list_products(collapse=True, facets=True, include_total_size=True, min_price=0), "products"),
    Row("ListProducts", 2, list_products(show_deleted=True), "products", by="admin"),
    Row("GetProduct", 2, lambda at: GetProductRequest(product_id=at.products[0], show_deleted=True), by="admin"),
    Row("CreateProduct", 9),
    Row("UpdateProduct", 8, lambda at: UpdateProductRequest(product=Product(id=at.subjects.product_id, name="Other"))),
    Row("AdjustStock", 8),
    Row("DeleteProduct", 9),
    Row("UndeleteProduct", 9),
    Row("CreatePictureUpload", 7),
    Row("CreatePictureUpload", 8, key="upload"),
    Row("GetPictureUpload", 2),
    Row("UploadPictureContent", 7),
    Row("CompletePictureUpload", 3),
    Row("SetProductPictures", 12, lambda at: SetProductPicturesRequest(product_id=at.products[0])),
    Row("GetPicture", 0),
    Row("ListCategories", 1, lambda at: ListCategoriesRequest(page_size=at.page), "categories"),
    Row("GetCategory", 1),
    Row("ListProductGroups", 1, lambda at: ListProductGroupsRequest(page_size=at.page), "groups"),
    Row("GetProductGroup", 1),
    Row("CreateProductGroup", 9),
    Row("UpdateProductGroup", 9),
    Row("UpsertProductGroup", 24, upsert(), "variants"),
    Row("UpsertProductGroup", 12, upsert(), "variants"),
    Row("UpsertProductGroup", 23, upsert(turned=True), "variants", key="upsert"),
    Row("DeleteProductGroup", 9),
    Row("GetSlug", 1),
    Row("GetSlug", 2, lambda at: GetSlugRequest(kind="product", slug=at.product_slug)),
    Row("ListCategories", 1, lambda at: ListCategoriesRequest(page_size=at.page, roots=True), "categories"),
    Row("CreateCategory", 8),
    Row("UpdateCategory", 8),
    Row("UpdateCategory", 8, lambda at: UpdateCategoryRequest(category=Category(id=at.subjects.category_id, name="Other"))),
    Row("UpdateCategory", 12, lambda at: UpdateCategoryRequest(category=Category(id=at.subjects.category_id, slug="other"))),
    Row(
        "UpdateCategory",
        14,
        lambda at: UpdateCategoryRequest(category=Category(id=at.moved, parent_id=at.parent)),
    ),
    Row("DeleteCategory", 11),
    Row("ListShippingZones", 2, lambda at: ListShippingZonesRequest(page_size=at.few), "shipping_zones"),
    Row("GetShippingZone", 2),
    Row("CreateShippingZone", 13, lambda at: CreateShippingZoneRequest(shipping_zone=at.zone())),
    Row("UpdateShippingZone", 14, lambda at: UpdateShippingZoneRequest(shipping_zone=at.zone(at.subjects.shipping_zone_id))),
    Row("ListShippingMethods", 2, lambda at: ListShippingMethodsRequest(page_size=at.few), "shipping_methods"),
    Row("GetShippingMethod", 2),
    Row("CreateShippingMethod", 13, lambda at: CreateShippingMethodRequest(shipping_method=at.method())),
    Row("UpdateShippingMethod", 14, lambda at: UpdateShippingMethodRequest(shipping_method=at.method(at.subjects.shipping_method_id))),
    Row("ArchiveShippingMethod", 10),
    Row("ArchiveShippingZone", 11),
    Row("ListPromotions", 2, lambda at: ListPromotionsRequest(page_size=at.page), "promotions"),
    Row("GetPromotion", 2),
    Row("CreatePromotion", 9),
    Row("UpdatePromotion", 8),
    Row("UpdatePromotion", 9, lambda at: UpdatePromotionRequest(promotion=Promotion(id=at.subjects.promotion_id, per_buyer_limit=1))),
    Row(
        "UpdatePromotion",
        9,
        lambda at: UpdatePromotionRequest(promotion=Promotion(id=at.subjects.promotion_id, product_ids=at.products[:500])),
    ),
    Row("ListPromotionCodes", 2, lambda at: ListPromotionCodesRequest(promotion_id=at.subjects.promotion_id, page_size=at.page), "codes"),
    Row("CreatePromotionCode", 9),
    Row("GeneratePromotionCodes", 9),
    Row("GeneratePromotionCodes", 9, lambda at: GeneratePromotionCodesRequest(promotion_id=at.subjects.promotion_id, count=10 * at.size)),
    Row("ArchivePromotionCode", 6),
    Row("ArchivePromotion", 8),
    Row("GetShop", 1),
    Row("UpdateShop", 8),
    Row("ListTaxCategories", 2, lambda at: ListTaxCategoriesRequest(page_size=at.page), "tax_categories"),
    Row("GetTaxCategory", 2),
    Row("CreateTaxCategory", 8),
    Row("UpdateTaxCategory", 8),
    Row("ArchiveTaxCategory", 9),
    Row("ListTaxRates", 2, lambda at: ListTaxRatesRequest(page_size=at.page), "tax_rates"),
    Row("GetTaxRate", 2),
    Row("CreateTaxRate", 10),
    Row("UpdateTaxRate", 10),
    Row("ArchiveTaxRate", 9),
    Row("ListUsers", 5, lambda at: ListUsersRequest(page_size=at.page), "users"),
    Row("GetUser", 2),
    Row("UpdateUser", 7),
    Row("ListAuditLog", 2, lambda at: ListAuditLogRequest(page_size=at.page), "entries"),
    Row("GetAdminOnly", 1),
    Row("GetJwks", 0),
    Row("GetMe", 1),
    Row("UpdateMe", 5),
    Row("ListAddresses", 1, lambda at: ListAddressesRequest(page_size=at.page), "addresses"),
    Row("GetAddress", 1),
    Row("CreateAddress", 7, by="leaver"),  # the buyer has more than the limit
    Row("CreateAddress", 8, key="address", by="leaver"),
    Row("UpdateAddress", 6),
    Row("UpdateAddress", 7, lambda at: UpdateAddressRequest(address=new_address(id=at.subjects.address_id, is_default=True))),
    Row("DeleteAddress", 5),
    Row("ListSessions", 1, lambda at: ListSessionsRequest(page_size=at.page), "sessions"),
    Row("RevokeSession", 6),
    Row("SignUp", 5),
    Row("Login", 6),
    Row("LoginForm", 6),
    Row("CreateGuest", 3),
    Row("Refresh", 4),
    Row("ChangePassword", 11, by="leaver"),
    Row("ExportMe", 3, lambda at: ExportMeRequest(page_size=at.page), "orders"),
    Row("DeleteMe", 20, by="goer"),
    Row("RequestEmailVerification", 6),
    Row("Logout", 6, by="leaver"),
    Row("LogoutAll", 6),
    Row("VerifyEmail", 6),
    Row("ResetPassword", 11),
    Row("RequestPasswordReset", 4),  # this call revokes the token of the previous row
)

RPCS = {method.name: method for service in SERVICES for method in service.methods}


def for_admins(rpc: str) -> bool:
    return bool(RPCS[rpc].GetOptions().Extensions[policy_pb2.policy].access == policy_pb2.ACCESS_ADMIN)


ARRAYS = "SELECT $1::integer[], $2::bigint[], $3::jsonb[]"
"""asyncpg looks up a type when a connection first uses it. These statements are not part of the call."""


@pytest.fixture(autouse=True)
def in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    never_late(monkeypatch)


@asynccontextmanager
async def counted(settings: Settings, pool: "Pool") -> AsyncIterator[tuple[Shop, list[str]]]:
    """Run a worker with one connection for calls only; yields the worker's shop and the statements sent over the connection.

    Its view of the change feed counts as current, so that a busy machine causes no additional statement.
    """
    sent: list[str] = []
    async with running(replace(settings, pool_size=1)) as (worker, [port]), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await worker.parts.supervisor.stop()
        worker.parts.listener._read_until = math.inf
        async with worker.parts.pool.acquire() as conn:
            await conn.prepare(ARRAYS)
            conn.add_query_logger(lambda query: sent.append(query.query))
        yield Shop(channel, pool), sent


FILL = """
INSERT INTO accounts (email, full_name, role, password_hash) SELECT 'a' || n, '', 'user', '' FROM generate_series(1, {n}) n;
INSERT INTO categories (name) SELECT 'category ' || n FROM generate_series(1, {n}) n;
INSERT INTO products (name, description, price_minor, currency_code, image_urls)
SELECT 'ball ' || n, '', 1, 'USD', '{{}}' FROM generate_series(1, {n}) n;
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1000 FROM products;
INSERT INTO product_groups (code, name, varies_by, currency_code, variants, min_price_minor, max_price_minor)
SELECT 'group ' || n, 'group', '{{Size}}', 'USD', n, nullif(n, 0), nullif(n, 0) FROM generate_series(0, {n}) n;
INSERT INTO tax_categories (id, display_name) SELECT 'category-' || n, '' || n FROM generate_series(1, least({n}, 150)) n;
INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)
SELECT 'US', 'region ' || n, '', 'tax', 1, '{{}}', '{{}}', '(,)' FROM generate_series(1, {n}) n;
INSERT INTO audit_log (actor_kind, action, before, after, request_id) SELECT 'system', 'x', '{{}}', '{{}}', '' FROM generate_series(1, {n});
INSERT INTO sessions (account_id, user_agent, ip_address, expires_at)
SELECT '{buyer}', '', '', now() + interval '1 day' FROM generate_series(1, {n});
INSERT INTO addresses (account_id, country_code, recipient, company, street_lines, city_area, city, region, postal_code, sorting_code,
                       phone, vat_number, is_default)
SELECT '{buyer}', 'GH', 'Jo', '', '{{1}}', '', 'Accra', '', '', '', '', '', n = 1 FROM generate_series(1, {n}) n;
INSERT INTO orders (account_id, status, currency_code, total_minor)
SELECT '{buyer}', 'placed', 'USD', 1 FROM generate_series(1, greatest({n}, {long}));
INSERT INTO order_items (order_id, product_id, product_name, unit_price_minor, currency_code, quantity)
SELECT o.id, p.id, '', 1, 'USD', 1
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM orders) AS o
  JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM products) AS p ON o.n <= {long} OR p.n = 1;
WITH long AS (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM orders
), parcel AS (
    INSERT INTO shipments (order_id, state, carrier, tracking_number, tracking_url, actor_kind)
    SELECT long.id, 'prepared', '', '', '', 'system' FROM long WHERE n IN (4, 5) ORDER BY n
    RETURNING id, order_id
), taken AS (
    INSERT INTO shipments (order_id, state, carrier, tracking_number, tracking_url, actor_kind)
    SELECT long.id, 'cancelled', '', '', '', 'system' FROM long, generate_series(1, {n}) WHERE long.n = 6
    RETURNING id
), back AS (
    INSERT INTO returns (order_id, restocked, reason, actor_kind)
    SELECT long.id, false, '', 'system' FROM long, generate_series(1, {n}) WHERE long.n = 6
    RETURNING id
), items AS (
    INSERT INTO return_items (return_id, product_id, quantity)
    SELECT back.id, product.id, 1 FROM back, (SELECT id FROM products LIMIT 1) AS product
)
INSERT INTO shipment_items (shipment_id, product_id, quantity)
SELECT parcel.id, product_id, quantity FROM parcel JOIN order_items USING (order_id)
 UNION ALL
SELECT taken.id, product.id, 1 FROM taken, (SELECT id FROM products LIMIT 1) AS product;
INSERT INTO shipping_zones (name, name_key, name_key_rule)
SELECT 'zone ' || n, '', 1000 FROM generate_series(0, least({n}, {few})) AS n;
INSERT INTO shipping_methods (name, description, position, tax_category)
SELECT 'method ' || n, '', 0, '' FROM generate_series(1, least({n}, {few})) AS n;
INSERT INTO shipping_rates (method_id, zone_id, basis, starts, prices_minor, currency_code)
SELECT method.id, zone.id, 'weight', '{{0}}', '{{1}}', 'USD'
  FROM shipping_methods AS method, shipping_zones AS zone WHERE zone.name <> 'zone 0';
INSERT INTO order_history (order_id, version, status, actor_kind, actor_id, reason)
SELECT id, 1, 'placed', 'buyer', account_id, '' FROM orders;
INSERT INTO order_notes (order_id, actor_id, text)
SELECT (SELECT id FROM orders ORDER BY id LIMIT 1), '{buyer}', 'x' FROM generate_series(1, {n});
INSERT INTO promotions (name, kind, percent_ppm, product_ids, category_ids, get_product_ids, get_category_ids, method_ids,
                        min_subtotal_minor, currency_code, needs_code, priority, combinable)
SELECT 'sale ' || n, 'percent', 1, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', 0, 'USD', true, 0, true FROM generate_series(1, {n}) n;
INSERT INTO promotion_codes (code_folded, code, promotion_id)
SELECT 'c' || n, 'C' || n, (SELECT id FROM promotions ORDER BY id LIMIT 1) FROM generate_series(1, {n}) n;
UPDATE promotions SET codes = {n} WHERE id = (SELECT id FROM promotions ORDER BY id LIMIT 1);
"""
FILL_PAYMENTS = """
WITH dead AS (
    INSERT INTO payments (order_id, provider, method, provider_ref, state, capture_later, currency_code, amount_minor)
    SELECT $2, 'stripe', 'online', 'pi_dead' || n, 'cancelled', false, 'USD', 1000 FROM generate_series(1, $1::integer) AS n
    RETURNING id, provider_ref
), asked AS (
    INSERT INTO provider_requests (provider, kind, payment_id, amount_minor) SELECT 'stripe', 'create', id, 1000 FROM dead
), disputed AS (
    INSERT INTO disputes (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason)
    SELECT id, $2, provider_ref, 'inquiry', 1, 0, 'USD', '' FROM dead
), given AS (
    INSERT INTO refunds (payment_id, order_id, state, amount_minor, currency_code, is_own, reason, actor_kind)
    SELECT $3, $2, 'failed', 1, 'USD', true, '', 'system' FROM dead
)
INSERT INTO provider_events (provider, event_id, kind, provider_ref, happened_at, quarantined_at)
SELECT 'stripe', provider_ref, '', provider_ref, now(), now() FROM dead
"""
FILL_FINISHED = """
INSERT INTO orders (account_id, status, currency_code, total_minor, contact_email)
SELECT $1, 'cancelled', 'USD', 1, 'jo@example.com' FROM generate_series(1, $2::integer)
"""
FILL_CART = """
INSERT INTO cart_items (account_id, product_id, quantity, unit_price_minor, currency_code)
SELECT $1, id, 1, 1, 'USD' FROM products WHERE name LIKE 'ball %'
    ON CONFLICT DO NOTHING
"""


async def scene(shop: Shop, size: int) -> Scene:
    """Fill a shop, and make the worker cache the session of each caller."""
    buyer, leaver, goer, other, admin = [await shop.person(admin=admin) for admin in (False, False, False, False, True)]
    await shop.pool.execute(FILL.format(n=size, buyer=buyer.id, long=LONG_ORDERS, few=SHIPPING_MAX))
    await index_products(shop.pool)
    while await give_missing(shop.pool):
        pass
    await shop.pool.execute(FILL_FINISHED, UUID(goer.id), size)
    for person in (buyer, leaver, goer, admin):
        await shop.users.GetMe(GetMeRequest(), metadata=person.metadata)

    async def ids(table: str, condition: str = "TRUE") -> list[str]:
        return [str(row["id"]) for row in await shop.pool.fetch(f"SELECT id FROM {table} WHERE {condition} ORDER BY id")]  # noqa: S608 - a constant

    async def paid(state: str) -> PaidOrder:
        return await an_order(shop.pool, buyer.id, (await ids("products"))[0], state)

    much = await paid("captured")
    await shop.pool.execute(FILL_PAYMENTS, size, UUID(much.order_id), UUID(much.payment_id))
    moved, parent = [
        await shop.pool.fetchval("INSERT INTO categories (name) VALUES ($1) RETURNING id::text", name) for name in ("moved", "parent")
    ]
    products, orders, zones = await ids("products"), await ids("orders"), await ids("shipping_zones", "name <> 'zone 0'")
    shipments = await ids("shipments", "state = 'prepared'")
    return Scene(
        size=size,
        products=products,
        product_slug=await shop.pool.fetchval("SELECT slug FROM products ORDER BY id DESC LIMIT 1"),
        moved=moved,
        parent=parent,
        orders=orders,
        zones=zones,
        shipments=shipments,
        subjects=ShopSubjects(
            email=other.email,
            refresh_token=other.refresh_token,
            reset_token=await issue(shop.pool, other, "reset_password"),
            verification_token=await issue(shop.pool, other, "verify_email"),
            user_id=other.id,
            address_id=(await ids("addresses"))[0],
            session_id=(await ids("sessions", "user_agent = ''"))[0],
            order_id=orders[0],
            link_token=OrderLinks(SECRET).of(UUID(orders[0])),
            product_id=products[0],
            deleted_product_id=products[0],  # made by the previous row
            category_id=(await ids("categories"))[0],
            group_id=(await ids("product_groups", "variants = 0"))[0],
            category_slug=await shop.pool.fetchval("SELECT slug FROM categories WHERE slug IS NOT NULL ORDER BY id DESC LIMIT 1"),
            shipping_zone_id=(await ids("shipping_zones", "name = 'zone 0'"))[0],
            shipping_method_id=(await ids("shipping_methods"))[0],
            promotion_id=(await ids("promotions"))[0],
            promotion_code="C1",
            tax_category_id=(await ids("tax_categories"))[0],
            tax_rate_id=(await ids("tax_rates"))[0],
            upload_id=await an_upload(shop.pool),
            received_upload_id=await a_received_upload(shop.pool),
            picture_name=A_PICTURE,
            pending=await paid("pending"),
            authorized=await paid("authorized"),
            captured=await paid("captured"),
            payment_event_id=await an_event(shop.pool),
            paid_order_id=orders[3],
            sent_product_id=products[0],
            shipment_id=shipments[0],
            sent_shipment_id=shipments[0],  # a row before lets it leave
        ),
        paid=much,
        buyer=buyer,
        leaver=leaver,
        goer=goer,
        admin=admin,
    )


async def answer(shop: Shop, at: Scene, row: Row) -> Any:
    """Make the call of a row."""
    [stub] = [stub for name, stub in vars(shop).items() if name not in ("channel", "pool") and hasattr(stub, row.rpc)]
    caller: Person = at.admin if for_admins(row.rpc) else getattr(at, row.by)
    request = row.request(at) if row.request else EXAMPLE_REQUESTS[row.rpc](at.subjects)
    metadata = (*caller.metadata, *((("idempotency-key", row.key),) if row.key else ()))
    sent = getattr(stub, row.rpc)([request] if RPCS[row.rpc].client_streaming else request, metadata=metadata)
    if row.reason:
        assert (await refusal(sent)).reason == row.reason
        return None
    return await sent


@pytest.mark.parametrize("size", [1, 10, LINES_MAX])
async def test_an_rpc_sends_so_many_statements_however_much_there_is(settings: Settings, pool: "Pool", size: int) -> None:
    async with counted(replace(settings, cached_products=0), pool) as (shop, sent):
        at = await scene(shop, size)
        surprises: list[str] = []
        for row in ROWS:
            await pool.execute(FILL_CART, at.buyer.id)
            sent.clear()
            reply = await answer(shop, at, row)
            if len(sent) != row.statements:
                surprises += [f"{row.label} sent {len(sent)} statements, not {row.statements}:", *sent]
            if row.many:
                least = size if row.many == "lines" else at.few if row.many.startswith("shipping") else at.page
                assert len(getattr(reply, row.many)) >= least, row.label
        assert not surprises, "\n".join(surprises)


def test_every_rpc_has_its_count() -> None:
    assert {row.rpc for row in ROWS} == RPCS.keys()


async def test_catalog_reads_from_memory_send_no_statement(settings: Settings, pool: "Pool") -> None:
    async with counted(settings, pool) as (shop, sent):
        at = await scene(shop, PAGE_MAX)
        reads = [row for row in ROWS if row.rpc in ("GetProduct", "BatchGetProducts", "ListProducts") and row.by != "admin"]
        assert len(reads) == 12
        first = [await answer(shop, at, row) for row in reads]
        sent.clear()
        assert [await answer(shop, at, row) for row in reads] == first
        assert sent == []
