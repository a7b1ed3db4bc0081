"""ExportMe and DeleteMe: people get what the shop holds of them, and erase it."""

import asyncio
import json
import uuid
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from mercato.v1 import auth_pb2, cart_pb2, order_pb2, user_pb2
from mercato.v1.order_pb2 import ORDER_STATUS_DELIVERED, ORDER_STATUS_PAID, ORDER_STATUS_SHIPPED
from mercato.v1.postal_address_pb2 import PostalAddress
from mercato_server.database.pool import Pool
from mercato_server.security.order_links import OrderLinks
from mercato_server.store import erasure, guests
from support.market import violations
from support.one_time_tokens import issue
from support.packing import Packer, packer
from support.pages import every
from support.shop import CALL_S, PASSWORD, SECRET, Person, Shop, refusal

CANARY = "zyxwv"
"""A text that stands for every piece of personal data."""
HOME = PostalAddress(
    country_code="US", recipient=f"Jo {CANARY}", company=f"{CANARY} Inc.", street_lines=[f"1 {CANARY} Street"], city="San Francisco",
    region="CA", postal_code="94111", phone="+14155552671", vat_number=f"{CANARY}9",
)  # fmt: skip
SEEN = (f"{CANARY} browser", "198.51.100.77")
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
FEW_DAYS = ("mail_allowances",)
"""Tables that keep an address until their sweep, against floods of mails to it."""

OPEN_REFUND = """
INSERT INTO refunds (payment_id, order_id, state, amount_minor, currency_code, is_own, reason, actor_kind)
SELECT id, order_id, 'pending', 1, currency_code, true, '', 'administrator' FROM payments WHERE order_id = $1
"""
OPEN_DISPUTE = """
INSERT INTO disputes (payment_id, order_id, provider_ref, state, amount_minor, withdrawn_minor, currency_code, reason)
SELECT id, order_id, 'dp_1', 'open', 1, 1, currency_code, 'fraud' FROM payments WHERE order_id = $1
"""
LEFT_BY_EARLIER_RELEASE = """
WITH enabled AS (UPDATE accounts SET disabled_at = NULL WHERE id = $1)
INSERT INTO carts (account_id) VALUES ($1)
"""
AN_ENTRY = """
INSERT INTO audit_log (actor_kind, action, subject_id, before, after, request_id)
VALUES ('system', 'user.created', $1, '{}', $2, '')
"""


async def holders(pool: "Pool", text: str = CANARY) -> set[str]:
    """Return the tables of the database that hold a text in any column, also in bytes."""
    found = set()
    for row in await pool.fetch(TABLES):
        table = row["table_name"]
        seen = f"SELECT EXISTS (SELECT FROM {table} AS row WHERE row::text ILIKE '%' || $1 || '%' OR row::text LIKE '%' || $2 || '%')"  # noqa: S608
        if await pool.fetchval(seen, text, text.encode().hex()):
            found.add(table)
    return found


async def delete_me(shop: Shop, who: Person, password: str = PASSWORD) -> auth_pb2.DeleteMeResponse:
    return await shop.auth.DeleteMe(auth_pb2.DeleteMeRequest(password=password), metadata=who.metadata, timeout=CALL_S)


async def export_me(shop: Shop, who: Person, **fields: Any) -> auth_pb2.ExportMeResponse:
    return await shop.auth.ExportMe(auth_pb2.ExportMeRequest(**fields), metadata=who.metadata, timeout=CALL_S)


async def get_order(shop: Shop, who: Person, order_id: str) -> order_pb2.Order:
    return await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order_id), metadata=who.metadata)


async def sign_up(shop: Shop, email: str) -> Person:
    request = auth_pb2.SignUpRequest(email=email, password=PASSWORD, full_name=f"Jo {CANARY}")
    user = await shop.auth.SignUp(request, metadata=(("idempotency-key", f"sign-up-{email}"),))
    login = auth_pb2.LoginRequest(email=email, password=PASSWORD)
    tokens = await shop.auth.Login(login, timeout=CALL_S)
    return Person(user.id, email, tokens.access_token, tokens.refresh_token)


async def fill(shop: Shop, pack: Packer, jo: Person) -> order_pb2.Order:
    """Let a person leave something in every place that holds personal data; return a delivered order."""
    keyed = (*jo.metadata, ("idempotency-key", "a-key"))
    address = user_pb2.Address(postal_address=HOME)
    await shop.users.CreateAddress(user_pb2.CreateAddressRequest(address=address), metadata=keyed)
    header = cart_pb2.UpdateCartHeaderRequest(shipping_address=HOME, billing_address=HOME, contact_email=jo.email, note=f"Ring at {CANARY}")
    await shop.carts.UpdateCartHeader(header, metadata=jo.metadata)
    await shop.pool.execute("INSERT INTO account_taxes VALUES ($1, 'exempt', $2)", uuid.UUID(jo.id), f"{CANARY}77")
    order = await pack.placed(2)
    await pack.advance(order, ORDER_STATUS_PAID, reason=f"{CANARY} paid in cash")
    await pack.deliver(await pack.ship(await pack.create(order), tracking_number=f"{CANARY}123", carrier="Post"))
    await pack.take_back(order, 1, reason=f"{CANARY} did not like it")
    await shop.orders.CreateOrderNote(
        order_pb2.CreateOrderNoteRequest(order_id=order.id, text=f"{CANARY} called"), metadata=pack.admin.metadata
    )
    cancelled = await pack.placed(1)
    await shop.orders.CancelOrder(order_pb2.CancelOrderRequest(order_id=cancelled.id, reason=f"{CANARY} moved"), metadata=jo.metadata)
    await shop.add(jo, await shop.product(pack.admin))
    await shop.carts.UpdateCartHeader(header, metadata=jo.metadata)
    await shop.carts.QuoteCart(cart_pb2.QuoteCartRequest(), metadata=jo.metadata)
    await issue(shop.pool, jo, "verify_email")
    await shop.pool.execute(
        "INSERT INTO mails (template, address, order_id) VALUES ('order_placed', $2, $1)", uuid.UUID(order.id), jo.email
    )
    await shop.pool.execute("UPDATE sessions SET user_agent = $2, ip_address = $3 WHERE account_id = $1", uuid.UUID(jo.id), *SEEN)
    await shop.pool.execute(AN_ENTRY, uuid.UUID(jo.id), json.dumps({"email": jo.email, "role": "user"}))
    return order


@pytest.fixture
async def pack(shop: Shop) -> Packer:
    made = await packer(shop)
    return Packer(shop, made.admin, await sign_up(shop, f"jo.{CANARY}@example.com"))


async def test_an_erasure_leaves_nothing_of_a_person_in_any_table(shop: Shop, pack: Packer) -> None:
    jo = pack.buyer
    order = await fill(shop, pack, jo)
    held = await holders(shop.pool)
    assert held >= {
        "accounts", "account_taxes", "addresses", "audit_log", "carts", "idempotency_keys", "mails", "one_time_tokens", "order_history",
        "order_notes", "orders", "returns", "sessions", "shipments",
    }  # fmt: skip
    before = await get_order(shop, pack.admin, order.id)
    assert (await delete_me(shop, jo)).kept_orders == 2
    # An answer of an anonymous call belongs to its request, and one of an administrator's call to the administrator.
    await shop.pool.execute("DELETE FROM idempotency_keys WHERE method = '/mercato.v1.AuthService/SignUp'")
    assert await holders(shop.pool) == set(FEW_DAYS)
    for text in ("14155552671", SEEN[1]):
        assert await holders(shop.pool, text) == set()
    after = await get_order(shop, pack.admin, order.id)
    assert (after.total, after.lines, after.number, after.etag) == (before.total, before.lines, before.number, before.etag)
    assert (after.contact_email, after.note, after.account_id) == ("", "", jo.id)
    assert after.shipping_address == after.billing_address == PostalAddress(country_code="US", region="CA")
    assert after.erase_time.seconds > 0
    assert [step.reason for step in after.history] == [""] * len(before.history)
    user = await shop.users.GetUser(user_pb2.GetUserRequest(user_id=jo.id), metadata=pack.admin.metadata)
    assert (user.email, user.full_name, user.disabled, user.role) == ("", "", True, user_pb2.ROLE_USER)
    assert user.erase_time.seconds > 0
    assert await violations(shop) == {}


async def test_an_export_has_what_an_erasure_removes(shop: Shop, pack: Packer) -> None:
    jo = pack.buyer
    order = await fill(shop, pack, jo)
    exported = MessageToDict(await export_me(shop, jo))
    account, [cancelled, delivered] = exported["account"], exported["orders"]
    assert account["account"]["email"] == jo.email
    assert account["account"]["full_name"] == f"Jo {CANARY}"
    assert "password_hash" not in account["account"]
    assert account["taxes"]["tax_number"] == f"{CANARY}77"
    assert account["addresses"][0]["street_lines"] == [f"1 {CANARY} Street"]
    assert account["cart"]["note"] == f"Ring at {CANARY}"
    assert (account["sessions"][0]["user_agent"], account["sessions"][0]["ip_address"]) == SEEN
    assert {mail["template"] for mail in account["mails"]} == {"verify_email"}
    assert delivered["id"] == order.id
    assert delivered["total_minor"] == str(order.total.minor_units) == "3998"
    assert delivered["shipping_address"]["phone"] == "+14155552671"
    assert delivered["lines"][0]["unit_price_minor"] == "1999"
    assert delivered["shipments"][0]["tracking_number"] == f"{CANARY}123"
    assert delivered["returns"][0]["reason"] == f"{CANARY} did not like it"
    assert delivered["mails"][0]["address"] == jo.email
    assert "notes" not in delivered
    assert cancelled["history"][-1]["reason"] == f"{CANARY} moved"
    assert "called" not in json.dumps(exported)


async def test_an_export_has_all_orders_page_by_page(shop: Shop) -> None:
    pack = await packer(shop)
    placed = [(await pack.placed(1)).id for _ in range(5)]
    orders = await every(shop.auth.ExportMe, auth_pb2.ExportMeRequest, pack.buyer, size=2)
    assert [order["id"] for order in orders] == placed[::-1]
    first = await export_me(shop, pack.buyer, page_size=2)
    second = await export_me(shop, pack.buyer, page_size=2, page_token=first.next_page_token)
    assert (first.HasField("account"), second.HasField("account")) == (True, False)
    stranger = await shop.person()
    error = await refusal(export_me(shop, stranger, page_token=first.next_page_token))
    assert error.reason == "PAGE_TOKEN_INVALID"
    assert list((await export_me(shop, stranger)).orders) == []


async def test_all_tokens_of_an_erased_account_are_refused_at_once(shop: Shop) -> None:
    jo = await shop.person()
    phone = await shop.login(jo)
    await delete_me(shop, jo)
    for who in (jo, phone):
        add = cart_pb2.AddCartItemRequest(product_id=str(uuid.uuid4()))
        assert (await refusal(shop.carts.AddCartItem(add, metadata=who.metadata))).reason == "TOKEN_INVALID"
        assert (await refusal(shop.users.GetMe(user_pb2.GetMeRequest(), metadata=who.metadata))).reason == "TOKEN_INVALID"
    refresh = auth_pb2.RefreshRequest(refresh_token=phone.refresh_token)
    assert (await refusal(shop.auth.Refresh(refresh))).reason == "REFRESH_TOKEN_INVALID"
    login = auth_pb2.LoginRequest(email=jo.email, password=PASSWORD)
    assert (await refusal(shop.auth.Login(login, timeout=CALL_S))).reason == "INVALID_CREDENTIALS"
    assert (await refusal(delete_me(shop, jo))).reason == "TOKEN_INVALID"


async def test_administrators_go_on_with_orders_that_were_erased_unfinished(shop: Shop, pack: Packer) -> None:
    order, cancelled = await pack.placed(2), await pack.placed(1)
    wanted = erasure.Erasure(account_id=uuid.UUID(pack.buyer.id), unfinished=True)
    assert await erasure.erase(shop.pool, wanted) == 2
    await pack.cancel_order(cancelled, reason=f"{CANARY} is gone")
    await pack.advance(order, ORDER_STATUS_PAID, reason=f"{CANARY} paid in cash")
    await pack.deliver(await pack.ship(await pack.create(order), tracking_number=f"{CANARY}123", carrier="Post"))
    await pack.take_back(order, 1, reason=f"{CANARY} did not like it")
    note = order_pb2.CreateOrderNoteRequest(order_id=order.id, text=f"{CANARY} called")
    await shop.orders.CreateOrderNote(note, metadata=pack.admin.metadata)
    assert await violations(shop) == {}
    assert await holders(shop.pool) >= {"order_history", "order_notes", "returns", "shipments"}
    await shop.pool.execute(LEFT_BY_EARLIER_RELEASE, wanted.account_id)
    assert set(await violations(shop)) == {"erased accounts"}
    assert await erasure.erase(shop.pool, wanted) == 0
    assert await violations(shop) == {}
    await shop.pool.execute("DELETE FROM idempotency_keys WHERE method = '/mercato.v1.AuthService/SignUp'")
    assert await holders(shop.pool) == set(FEW_DAYS)


async def test_an_erased_guest_leaves_no_mail_to_an_earlier_contact(shop: Shop) -> None:
    guest = await shop.guest("new@example.com")
    await issue(shop.pool, Person(guest.id, f"{CANARY}@example.com", ""), "verify_email")
    assert await holders(shop.pool) == {"mails", "one_time_tokens"}
    await delete_me(shop, guest, "")
    assert await holders(shop.pool) == set()


async def test_an_address_can_sign_up_again_as_another_account(shop: Shop) -> None:
    pack = await packer(shop)
    jo = pack.buyer
    order = await pack.placed(1)
    await pack.cancel_order(order)
    token = await issue(shop.pool, jo, "reset_password")
    await delete_me(shop, jo)
    reset = auth_pb2.ResetPasswordRequest(token=token, new_password="another-secret-9")
    assert (await refusal(shop.auth.ResetPassword(reset, timeout=CALL_S))).reason == "ONE_TIME_TOKEN_INVALID"
    again = await sign_up(shop, jo.email)
    await shop.pool.execute("UPDATE accounts SET email_verified_at = now() WHERE id = $1", uuid.UUID(again.id))
    assert again.id != jo.id
    assert list((await export_me(shop, again)).orders) == []
    await shop.auth.VerifyEmail(auth_pb2.VerifyEmailRequest(token=await issue(shop.pool, again, "verify_email")), timeout=CALL_S)
    assert list((await shop.orders.ListOrders(order_pb2.ListOrdersRequest(), metadata=again.metadata)).orders) == []
    assert await violations(shop) == {}


async def test_an_erasure_needs_the_password(shop: Shop) -> None:
    jo = await shop.person()
    for password in ("", "wrong"):
        error = await refusal(delete_me(shop, jo, password))
        assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PASSWORD_WRONG")
    assert (await refusal(delete_me(shop, jo, "x" * 1_025))).fields == ["password"]
    me = await shop.users.GetMe(user_pb2.GetMeRequest(), metadata=jo.metadata)
    assert me.email == jo.email


async def test_an_account_with_unfinished_orders_stays_until_they_have_left_or_are_cancelled(shop: Shop) -> None:
    pack = await packer(shop)
    placed, paid = await pack.placed(1), await pack.paid(1)
    for numbers in ([placed.number, paid.number], [paid.number]):
        error = await refusal(delete_me(shop, pack.buyer))
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ORDERS_UNFINISHED")
        assert error.metadata["orders"] == ", ".join(numbers)
        await pack.cancel_order(placed) if len(numbers) > 1 else await pack.sent(paid)
    assert (await delete_me(shop, pack.buyer)).kept_orders == 2


@pytest.mark.parametrize("sql", [OPEN_REFUND, OPEN_DISPUTE], ids=["refund", "dispute"])
async def test_an_account_stays_while_a_refund_or_a_dispute_is_under_way(shop: Shop, sql: str) -> None:
    pack = await packer(shop)
    order = await pack.paid(1)
    await pack.deliver(await pack.sent(order))
    await shop.pool.execute(sql, uuid.UUID(order.id))
    assert (await refusal(delete_me(shop, pack.buyer))).metadata["orders"] == order.number


async def test_the_last_administrator_stays(shop: Shop) -> None:
    boss, deputy = await shop.person(admin=True), await shop.person(admin=True)
    answers = await asyncio.gather(delete_me(shop, boss), delete_me(shop, deputy), return_exceptions=True)
    assert sorted(isinstance(answer, grpc.aio.AioRpcError) for answer in answers) == [False, True]
    rest = boss if isinstance(answers[0], grpc.aio.AioRpcError) else deputy
    assert (await refusal(delete_me(shop, rest))).reason == "LAST_ADMIN"
    assert await shop.pool.fetchval("SELECT count(*) FROM accounts WHERE role = 'admin' AND erased_at IS NULL") == 1


async def test_an_administrator_sees_erased_accounts_as_disabled_and_cannot_change_them(shop: Shop) -> None:
    admin, jo = await shop.person(admin=True), await shop.person()
    await delete_me(shop, jo)
    update = user_pb2.UpdateUserRequest(user_id=jo.id, disabled=False)
    error = await refusal(shop.users.UpdateUser(update, metadata=admin.metadata))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_ERASED")
    for disabled, listed in ((True, [jo.id]), (False, [admin.id])):
        found = await shop.users.ListUsers(user_pb2.ListUsersRequest(disabled=disabled), metadata=admin.metadata)
        assert [user.id for user in found.users] == listed
    assert not (await shop.users.ListUsers(user_pb2.ListUsersRequest(q=jo.email), metadata=admin.metadata)).users


async def test_a_guest_erases_itself_without_a_password(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    guest = await shop.guest(f"{CANARY}@example.com")
    await shop.add(guest, await shop.product(admin))
    order = await shop.checkout(guest, "key")
    pack = Packer(shop, admin, guest)
    for status in (ORDER_STATUS_PAID, ORDER_STATUS_SHIPPED, ORDER_STATUS_DELIVERED):
        await pack.advance(order, status)
    exported = MessageToDict(await export_me(shop, guest))
    assert exported["orders"][0]["contact_email"] == f"{CANARY}@example.com"
    assert (await delete_me(shop, guest, "")).kept_orders == 1
    await shop.pool.execute("DELETE FROM idempotency_keys WHERE scope_id = $1", uuid.UUID(admin.id))
    assert await holders(shop.pool) == set()
    assert (await get_order(shop, admin, order.id)).erase_time.seconds > 0
    linked = order_pb2.GetLinkedOrderRequest(order_id=order.id, token=OrderLinks(SECRET).of(uuid.UUID(order.id)))
    assert (await refusal(shop.orders.GetLinkedOrder(linked))).reason == "ORDER_NOT_FOUND"
    for wait in range(2):  # the sweep has nothing to do with a guest that has orders
        assert await guests.sweep(shop.pool, 10, 1.0) == 1 - wait
    assert await violations(shop) == {}


@pytest.mark.parametrize("change", ["full_name = 'Jo'", "email = 'jo@example.com'", "known_networks = '{x}'"])
async def test_no_constraint_lets_a_row_of_an_erased_account_be_filled(shop: Shop, change: str) -> None:
    jo = await shop.person()
    await delete_me(shop, jo)
    with pytest.raises(asyncpg.CheckViolationError, match="accounts_erased_check"):
        await shop.pool.execute(f"UPDATE accounts SET {change} WHERE id = $1", uuid.UUID(jo.id))  # noqa: S608 - a constant


async def test_the_sweep_deletes_an_erased_guest_without_orders(shop: Shop) -> None:
    guest = await shop.guest("guest@example.com")
    await delete_me(shop, guest, "")
    assert await guests.sweep(shop.pool, 10, 60.0) == 1
    assert await shop.pool.fetchval("SELECT count(*) FROM accounts WHERE role = 'guest'") == 0


async def test_an_order_with_reverse_charge_keeps_the_number_that_it_rests_on(shop: Shop) -> None:
    pack = await packer(shop)
    order = await pack.placed(1)
    await pack.cancel_order(order)
    await shop.pool.execute(
        "UPDATE orders SET tax_treatment = 'reverse_charge', billing_address = $2 WHERE id = $1",
        uuid.UUID(order.id),
        json.dumps({"country_code": "FR", "vat_number": "FR40303265045", "city": "Paris"}),
    )
    await delete_me(shop, pack.buyer)
    kept = (await get_order(shop, pack.admin, order.id)).billing_address
    assert kept == PostalAddress(country_code="FR", vat_number="FR40303265045")
    assert await violations(shop) == {}
