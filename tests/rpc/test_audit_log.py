"""Every action of an administrator leaves one entry in the audit log, and no other call does."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from mercato.rpcs import rpcs
from mercato.v1 import policy_pb2
from mercato.v1.audit_pb2 import AuditEntry, ListAuditLogRequest
from mercato.v1.catalog_pb2 import DeleteProductRequest, Product, UpdateProductRequest
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import CancelOrderRequest
from mercato.v1.user_pb2 import UpdateUserRequest
from mercato_server.config.settings import Settings
from mercato_server.security import keyrings
from support.idempotency_cases import CASES, World, call, new_world
from support.pages import every
from support.shop import Person, Shop, refusal

REQUEST_ID = "request-4711"
PUBLISHED_LONG_AGO = "UPDATE signing_keys SET created_at = created_at - interval '1 hour'"
SINCE = "deleted_at"
VARYING = {
    r"Example \d+": "a name",
    r"\d{4}-\d\d-\d\d [^\"]*": "a time",
    r'(?<=")\d{5}(?=")': "a prefix",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "an id",
    r"EXAMPLE-\d+": "a code",
    r"pi_quarantined\d+": "a reference",
    r"example-\d+": "example-1",
    r'(?<="batch_id": ")[^"]*': "a batch",
}
"""Patterns of values in entries that differ between runs, and the text that stands for them."""
LIVE, ARCHIVED = {"archived_at": None}, {"archived_at": "a time"}


@dataclass(frozen=True)
class Logged:
    """The entry that the first request of an RPC's case leaves in the log."""

    action: str
    subject: Callable[[World], str] | None
    before: dict[str, Any]
    after: dict[str, Any]


A_PREFIX = {"country_code": "US", "postal_prefix": "a prefix"}
NEW = {
    "name": "Kite",
    "price_minor": 1,
    "stock": 3,
    "description": "",
    "image_urls": [],
    "needs_delivery": False,
    "weight_grams": 0,
    "slug": "kite",
}
NEW_VARIANT = {**NEW, "name": "Shirt M", "stock": 0, "slug": "shirt-m", "group_id": "an id", "options": "Size: M"}
NEW_PROMOTION = {
    "name": "Sale", "kind": "percent", "percent_ppm": 200_000, "product_ids": [], "category_ids": [], "get_product_ids": [],
    "get_category_ids": [], "method_ids": [], "min_subtotal_minor": 0, "needs_code": True, "usage_limit": 50, "priority": 0,
    "combinable": True,
}  # fmt: skip
NEW_RATE = {
    "country_code": "US",
    "region": "a name",
    "tax_category": "",
    "name": "Sales tax",
    "rate_ppm": 72500,
    "parts": [],
}
LOGGED = {
    "CreateOrderNote": Logged("order.note_added", lambda world: world.first.order_id, {}, {"note_id": "an id"}),
    "CreateProduct": Logged("product.created", None, {}, NEW),
    "UpdateProduct": Logged(
        "product.updated",
        lambda world: world.first.product_id,
        {"name": "Ball", "price_minor": 1999, "stock": 100},
        {"name": "Kite", "price_minor": 1, "stock": 7},
    ),
    "DeleteProduct": Logged("product.deleted", lambda world: world.first.product_id, {SINCE: None}, {SINCE: "a time"}),
    "UndeleteProduct": Logged("product.undeleted", lambda world: world.first.deleted_product_id, {SINCE: "a time"}, {SINCE: None}),
    "AdjustStock": Logged("stock.changed", lambda world: world.first.product_id, {"stock": 100}, {"stock": 101}),
    "CreatePictureUpload": Logged("picture_upload.created", None, {}, {"state": "waiting"}),
    "SetProductPictures": Logged("product.pictures_changed", lambda world: world.first.product_id, {}, {}),
    "CreateCategory": Logged("category.created", None, {}, {"name": "a name", "slug": "example-1"}),
    "UpdateCategory": Logged("category.updated", lambda world: world.first.category_id, {"name": "a name"}, {"name": "a name"}),
    "DeleteCategory": Logged("category.deleted", lambda world: world.first.category_id, {"name": "a name", "slug": "example-1"}, {}),
    "CreateProductGroup": Logged(
        "product_group.created", None, {}, {"code": "an id", "name": "a name", "slug": "example-1", "varies_by": ["Size"]}
    ),
    "UpdateProductGroup": Logged("product_group.updated", lambda world: world.first.group_id, {"name": "Shirt"}, {"name": "a name"}),
    "DeleteProductGroup": Logged(
        "product_group.deleted",
        lambda world: world.first.group_id,
        {"code": "an id", "name": "Shirt", "slug": "shirt", "varies_by": ["Size"]},
        {},
    ),
    "UpsertProductGroup": Logged("product.created", None, {}, NEW_VARIANT),
    "CreateShippingZone": Logged("shipping_zone.created", None, {}, {"name": "a name", "areas": [A_PREFIX]}),
    "UpdateShippingZone": Logged(
        "shipping_zone.updated", lambda world: world.first.shipping_zone_id, {"name": "a name"}, {"name": "a name"}
    ),
    "ArchiveShippingZone": Logged(
        "shipping_zone.archived", lambda world: world.first.shipping_zone_id, {"archived_at": None}, {"archived_at": "a time"}
    ),
    "CreateShippingMethod": Logged(
        "shipping_method.created",
        None,
        {},
        {"name": "a name", "description": "", "position": 0, "tax_category": "", "rates.an id": "weight 0:499"},
    ),
    "UpdateShippingMethod": Logged(
        "shipping_method.updated", lambda world: world.first.shipping_method_id, {"name": "a name"}, {"name": "a name"}
    ),
    "ArchiveShippingMethod": Logged(
        "shipping_method.archived", lambda world: world.first.shipping_method_id, {"archived_at": None}, {"archived_at": "a time"}
    ),
    "CreateShipment": Logged("shipment.created", lambda world: world.first.order_id, {}, {"shipment_id": "an id", "state": "prepared"}),
    "ShipShipment": Logged(
        "shipment.shipped",
        lambda world: world.first.paid_order_id,
        {"state": "prepared"},
        {"shipment_id": "an id", "state": "shipped"},
    ),
    "DeliverShipment": Logged(
        "shipment.delivered",
        lambda world: world.first.paid_order_id,
        {"state": "shipped"},
        {"shipment_id": "an id", "state": "delivered"},
    ),
    "CancelShipment": Logged(
        "shipment.cancelled",
        lambda world: world.first.paid_order_id,
        {"state": "prepared"},
        {"shipment_id": "an id", "state": "cancelled"},
    ),
    "CreateReturn": Logged(
        "return.created",
        lambda world: world.first.paid_order_id,
        {},
        {"return_id": "an id", "restocked": True, "units": {"an id": 1}},
    ),
    "CancelOrderItems": Logged("order.items_cancelled", lambda world: world.first.order_id, {}, {"units": {"an id": 1}}),
    "AdvanceOrder": Logged("order.paid", lambda world: world.first.order_id, {"status": "placed"}, {"status": "paid"}),
    "CapturePayment": Logged(
        "payment.captured",
        lambda world: world.first.authorized.order_id,
        {"state": "authorized"},
        {"state": "captured", "payment_id": "an id"},
    ),
    "CancelPayment": Logged(
        "payment.cancelled",
        lambda world: world.first.pending.order_id,
        {},
        {"payment_id": "an id"},
    ),
    "CreateRefund": Logged(
        "refund.created",
        lambda world: world.first.captured.order_id,
        {},
        {"refund_id": "an id", "payment_id": "an id", "amount_minor": 400},
    ),
    "ResolvePaymentEvent": Logged(
        "payment_event.dismissed",
        lambda world: world.first.payment_event_id,
        {},
        {"provider_ref": "a reference", "failure": "its amount is not the one that the shop has asked for"},
    ),
    "UpdateShop": Logged("shop.updated", None, {"country_code": ""}, {"country_code": "DE"}),
    "CreateTaxCategory": Logged("tax_category.created", None, {}, {"example-1": {"display_name": "Books"}}),
    "UpdateTaxCategory": Logged(
        "tax_category.updated", None, {"example-1": {"display_name": "Books"}}, {"example-1": {"display_name": "a name"}}
    ),
    "ArchiveTaxCategory": Logged("tax_category.archived", None, {"example-1": LIVE}, {"example-1": ARCHIVED}),
    "CreateTaxRate": Logged("tax_rate.created", None, {}, NEW_RATE),
    "UpdateTaxRate": Logged("tax_rate.updated", lambda world: world.first.tax_rate_id, {"name": "Sales tax"}, {"name": "a name"}),
    "ArchiveTaxRate": Logged("tax_rate.archived", lambda world: world.first.tax_rate_id, LIVE, ARCHIVED),
    "UpdateUser": Logged("user.updated", lambda world: world.first.user_id, {"role": "user"}, {"role": "admin"}),
    "CreatePromotion": Logged("promotion.created", None, {}, NEW_PROMOTION),
    "UpdatePromotion": Logged(
        "promotion.updated",
        lambda world: world.first.promotion_id,
        {"name": "Sale", "percent_ppm": 100_000},
        {"name": "a name", "percent_ppm": 50_000},
    ),
    "ArchivePromotion": Logged(
        "promotion.archived", lambda world: world.first.promotion_id, {"archived_at": None}, {"archived_at": "a time"}
    ),
    "CreatePromotionCode": Logged(
        "promotion.code_created", lambda world: world.first.promotion_id, {}, {"code": "a code", "usage_limit": 5}
    ),
    "GeneratePromotionCodes": Logged(
        "promotion.codes_generated",
        lambda world: world.first.promotion_id,
        {},
        {"batch_id": "a batch", "count": 3, "usage_limit": 1},
    ),
    "ArchivePromotionCode": Logged("promotion.code_archived", lambda world: world.first.promotion_id, {}, {"code": "a code"}),
}
WRITTEN = (
    "products",
    "categories",
    "orders",
    "accounts",
    "events",
    "shipping_zones",
    "shipping_areas",
    "shipping_methods",
    "shipping_rates",
    "promotions",
    "promotion_codes",
    "price_rules",
    *("order_items", "order_history", "payments", "refunds", "shipments", "shipment_items", "returns", "return_items", "stock_levels"),
    *("products", "categories", "orders", "accounts", "account_taxes", "events"),
    *("payments", "payment_ledger", "refunds", "refund_lines", "provider_requests", "provider_events"),
    *("shop_settings", "tax_categories", "tax_rates", "price_rules"),
)
"""Tables that the actions write."""
every_action = pytest.mark.parametrize("name", LOGGED)


def test_every_change_for_administrators_is_in_the_table() -> None:
    described = rpcs()
    changes = {rpc.name for rpc in described if rpc.policy.access == policy_pb2.ACCESS_ADMIN and not rpc.reads and not rpc.streams}
    assert LOGGED.keys() == changes - {"CompletePictureUpload"}  # a file that comes to a shop or to a bucket has its own test


@pytest.fixture
async def world(shop: Shop, request: pytest.FixtureRequest) -> World:
    """The accounts and subjects of a test: those of its action, if it has one."""
    callspec = getattr(request.node, "callspec", None)
    world = await new_world(shop, CASES[callspec.params["name"]] if callspec and "name" in callspec.params else None)
    await shop.pool.execute("DELETE FROM audit_log")
    return world


async def log(shop: Shop, admin: Person, **query: Any) -> list[AuditEntry]:
    return await every(shop.audit.ListAuditLog, ListAuditLogRequest, admin, **query)


def fields(found: Message) -> dict[str, Any]:
    """Return the fields of a state in an entry, without values that differ between runs."""
    text = json.dumps(MessageToDict(found))
    for pattern, value in VARYING.items():
        text = re.sub(pattern, value, text)
    return json.loads(text)  # type: ignore[no-any-return]


@every_action
async def test_an_action_leaves_one_entry_and_its_replay_none(shop: Shop, world: World, name: str) -> None:
    logged, request = LOGGED[name], CASES[name].first(world)
    replies = [await call(shop, request, world.admin, "key", x_request_id=REQUEST_ID) for _ in range(2)]
    assert [reply.replayed for reply in replies] == [False, True]
    [entry] = await log(shop, world.boss)
    assert (entry.actor_id, entry.action, entry.request_id) == (world.admin.id, logged.action, REQUEST_ID)
    assert (fields(entry.before), fields(entry.after)) == (logged.before, logged.after)
    if logged.subject:
        assert entry.subject_id == logged.subject(world)
    else:
        assert entry.subject_id.encode() in replies[0].raw
    assert entry.create_time.seconds == await shop.pool.fetchval("SELECT floor(extract(epoch FROM created_at))::bigint FROM audit_log")


@every_action
async def test_a_refused_action_leaves_no_entry(shop: Shop, world: World, name: str) -> None:
    case = CASES[name]
    assert case.refused
    for who, request in ((world.admin, case.refused(world)), (world.buyer, case.first(world))):
        with pytest.raises(grpc.aio.AioRpcError):
            await call(shop, request, who, "key")
    assert await log(shop, world.boss) == []


@every_action
async def test_an_action_that_cannot_be_logged_is_rolled_back(shop: Shop, world: World, name: str) -> None:
    await shop.pool.execute("ALTER TABLE audit_log ADD CHECK (action = '')")
    contents = "SELECT array_agg(row::text ORDER BY row::text) FROM {} AS row"
    before = [await shop.pool.fetchval(contents.format(table)) for table in WRITTEN]
    with pytest.raises(grpc.aio.AioRpcError):
        await call(shop, CASES[name].first(world), world.admin, "key")
    after = [await shop.pool.fetchval(contents.format(table)) for table in WRITTEN]
    assert after == before


async def test_a_cancellation_is_logged_only_if_it_is_not_the_buyers(shop: Shop, world: World) -> None:
    mine, other = (CancelOrderRequest(order_id=order) for order in (world.first.order_id, world.second.order_id))
    await shop.orders.CancelOrder(mine, metadata=world.buyer.metadata)
    assert await log(shop, world.admin) == []
    await shop.orders.CancelOrder(other, metadata=world.admin.metadata)
    [entry] = await log(shop, world.admin)
    assert (entry.actor_id, entry.action, entry.subject_id) == (world.admin.id, "order.cancelled", other.order_id)
    assert (fields(entry.before), fields(entry.after)) == ({"status": "placed"}, {"status": "cancelled"})


async def test_an_administrators_own_order_is_a_buyers(shop: Shop, world: World) -> None:
    await shop.pool.execute("UPDATE orders SET account_id = $1::text::uuid", world.admin.id)
    await shop.orders.CancelOrder(CancelOrderRequest(order_id=world.first.order_id), metadata=world.admin.metadata)
    assert await log(shop, world.admin) == []


async def test_an_entry_has_only_the_fields_that_changed_and_exact_amounts(shop: Shop, world: World) -> None:
    product = Product(id=world.first.product_id, name="Ball", price=Money(minor_units=10**12), sku="B-1")
    await shop.catalog.UpdateProduct(UpdateProductRequest(product=product), metadata=world.admin.metadata)
    [entry] = await log(shop, world.admin)
    assert fields(entry.before) == {"price_minor": 1999, "sku": None}
    assert fields(entry.after) == {"price_minor": 10**12, "sku": "B-1"}


async def test_an_action_that_changes_nothing_is_an_entry_without_fields(shop: Shop, world: World) -> None:
    await shop.users.UpdateUser(UpdateUserRequest(user_id=world.other.id, disabled=False), metadata=world.admin.metadata)
    [entry] = await log(shop, world.admin)
    assert (entry.HasField("before"), fields(entry.before), fields(entry.after)) == (True, {}, {})


async def test_the_log_is_read_latest_first_by_actor_action_and_subject(shop: Shop, world: World) -> None:
    for who in (world.admin, world.boss):
        await shop.users.UpdateUser(UpdateUserRequest(user_id=world.other.id), metadata=who.metadata)
        await shop.users.UpdateUser(UpdateUserRequest(user_id=world.buyer.id), metadata=who.metadata)
        await shop.catalog.DeleteProduct(
            DeleteProductRequest(product_id=world.first.product_id if who is world.admin else world.second.product_id),
            metadata=who.metadata,
        )

    async def found(**query: Any) -> list[tuple[str, str]]:
        return [(entry.actor_id, entry.subject_id) for entry in await log(shop, world.admin, **query)]

    admin, boss = world.admin.id, world.boss.id
    assert await found() == [
        (who, what)
        for who, last in ((boss, world.second.product_id), (admin, world.first.product_id))
        for what in (last, world.buyer.id, world.other.id)
    ]
    assert await found(actor_id=boss) == [(boss, world.second.product_id), (boss, world.buyer.id), (boss, world.other.id)]
    assert await found(subject_id=world.buyer.id) == [(boss, world.buyer.id), (admin, world.buyer.id)]
    assert await found(action="product.deleted") == [(boss, world.second.product_id), (admin, world.first.product_id)]
    assert await found(action="user.updated", actor_id=admin, subject_id=world.other.id) == [(admin, world.other.id)]
    assert await found(action="nothing") == []
    page = await shop.audit.ListAuditLog(ListAuditLogRequest(page_size=1), metadata=world.admin.metadata)
    elsewhere = ListAuditLogRequest(page_token=page.next_page_token, actor_id=admin)
    assert (await refusal(shop.audit.ListAuditLog(elsewhere, metadata=world.admin.metadata))).reason == "PAGE_TOKEN_INVALID"


async def test_a_rotation_of_keys_is_an_action_of_the_command_line(shop: Shop, world: World, settings: Settings) -> None:
    kid = await shop.pool.fetchval("SELECT kid FROM signing_keys WHERE state = 'current'")
    with pytest.raises(keyrings.KeysError):
        await keyrings.rotate(settings.database_url, settings.secret_key, discard=False)
    await shop.pool.execute(PUBLISHED_LONG_AGO)
    following = await keyrings.rotate(settings.database_url, settings.secret_key, discard=False)
    fresh = await keyrings.rotate(settings.database_url, settings.secret_key, discard=True)
    rows = await shop.pool.fetch("SELECT actor_id, action, subject_id, before, after, request_id FROM audit_log ORDER BY id")
    assert [(*row[:3], json.loads(row[3]), json.loads(row[4]), row[5]) for row in rows] == [
        (None, "keys.rotated", None, {"kid": kid}, {"kid": following}, ""),
        (None, "keys.discarded", None, {"kid": following}, {"kid": fresh}, ""),
    ]
