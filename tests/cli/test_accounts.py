"""`mercato account`: an operator exports and erases what the shop holds of a person."""

import json
import stat
import uuid
from pathlib import Path

from mercato.v1 import cart_pb2, order_pb2
from mercato.v1.order_pb2 import ORDER_STATUS_PAID, ORDER_STATUS_SHIPPED, Order
from support.commands import Mercato
from support.market import violations
from support.packing import Packer, packer
from support.shop import CALL_S, Shop

ENTRIES = "SELECT actor_kind, action, subject_id::text, after::text FROM audit_log WHERE action LIKE 'user.%' ORDER BY id"
STORED_ABOUT = "SELECT count(*) FROM idempotency_keys WHERE position(convert_to($1, 'UTF8') IN response) > 0"
JO = "jo@example.com"


async def bought(shop: Shop, pack: Packer, contact: str) -> Order:
    """Let a guest with a contact address buy something, and send it."""
    guest = await shop.guest(contact)
    await shop.add(guest, await shop.product(pack.admin))
    order = await shop.checkout(guest)
    for status in (ORDER_STATUS_PAID, ORDER_STATUS_SHIPPED):
        order = await pack.advance(order, status)
    return order


async def contact(shop: Shop, pack: Packer, order: Order) -> str:
    found = await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.id), metadata=pack.admin.metadata, timeout=CALL_S)
    return str(found.contact_email)


async def test_an_export_is_one_json_object_with_all_orders_and_notes(shop: Shop, mercato: Mercato, tmp_path: Path) -> None:
    pack = await packer(shop)
    jo = pack.buyer
    orders = [(await pack.placed(1)).id for _ in range(3)]
    note = order_pb2.CreateOrderNoteRequest(order_id=orders[0], text="Jo called")
    await shop.orders.CreateOrderNote(note, metadata=pack.admin.metadata)
    as_guest = await bought(shop, pack, jo.email)
    done = mercato("account", "export", jo.email.upper(), "--output", "jo.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "4 orders\n")
    assert stat.S_IMODE((tmp_path / "jo.json").stat().st_mode) == 0o600
    told = json.loads((tmp_path / "jo.json").read_text())
    assert told["account"]["account"]["email"] == jo.email
    assert [order["id"] for order in told["orders"]] == orders[::-1]
    assert told["orders"][-1]["notes"][0]["text"] == "Jo called"
    assert [order["id"] for order in told["guest_orders"]] == [as_guest.id]
    by_id = json.loads(mercato("account", "export", jo.id).stdout)
    assert (by_id["account"]["account"]["email"], len(by_id["orders"]), by_id["guest_orders"]) == (jo.email, 3, [])
    assert [tuple(row) for row in await shop.pool.fetch(ENTRIES)] == [("system", "user.exported", jo.id, "{}")] * 2


async def test_an_erasure_asks_first_and_is_recorded(shop: Shop, mercato: Mercato) -> None:
    pack = await packer(shop)
    jo = pack.buyer
    order = await pack.placed(1)
    unconfirmed = mercato("account", "erase", jo.email)
    assert unconfirmed.returncode == 1
    assert "cannot be undone" in unconfirmed.stdout
    refused = mercato("account", "erase", jo.email, "--yes")
    assert refused.returncode == 1
    assert f"orders are not finished: {order.number}" in refused.stderr
    assert await shop.pool.fetchval("SELECT email FROM accounts WHERE id = $1", uuid.UUID(jo.id)) == jo.email
    done = mercato("account", "erase", jo.email, "--yes", "--unfinished")
    assert (done.returncode, done.stdout) == (0, "erased; 1 orders stay without their buyer\n")
    assert await contact(shop, pack, order) == ""
    again = mercato("account", "erase", jo.id, "--yes")
    assert (again.returncode, again.stdout) == (0, "erased; 0 orders stay without their buyer\n")
    assert mercato("account", "erase", jo.email, "--yes").returncode == 2
    assert [tuple(row) for row in await shop.pool.fetch(ENTRIES)] == [("system", "user.erased", jo.id, '{"orders": 1}')]
    assert await violations(shop) == {}


async def test_a_person_without_an_account_is_erased_from_the_orders_of_guests(shop: Shop, mercato: Mercato) -> None:
    pack = await packer(shop)
    first, second = await bought(shop, pack, JO), await bought(shop, pack, JO.upper())
    other = await bought(shop, pack, "other@example.com")
    kiosk = await shop.guest(JO)  # a device that several people use
    shared = []
    for address in (JO, "ann@example.com"):
        header = cart_pb2.UpdateCartHeaderRequest(contact_email=address)
        await shop.carts.UpdateCartHeader(header, metadata=(*kiosk.metadata, ("idempotency-key", address)), timeout=CALL_S)
        await shop.add(kiosk, await shop.product(pack.admin))
        shared.append(await pack.cancel_order(await shop.checkout(kiosk)))
    assert json.loads(mercato("account", "export", JO).stdout)["account"] is None
    done = mercato("account", "erase", JO, "--yes")
    assert (done.returncode, done.stdout) == (0, "erased; 3 orders stay without their buyer\n")
    assert [await contact(shop, pack, order) for order in (first, second, other, *shared)] == [
        *("", "", "other@example.com"),
        *("", "ann@example.com"),
    ]
    erased = await shop.pool.fetch("SELECT id FROM accounts WHERE erased_at IS NOT NULL")
    assert len(erased) == 2
    assert await shop.pool.fetchval("SELECT count(*) FROM mails WHERE address = $1", JO) == 0
    assert await shop.pool.fetchval(STORED_ABOUT, JO) == 0
    assert await violations(shop) == {}


def test_an_unknown_person_is_named(mercato: Mercato) -> None:
    for who, told in (("absent@example.com", "no account and no guest"), ("absent", "must be an e-mail address"), (str(uuid.uuid4()), "")):
        done = mercato("account", "erase", who, "--yes")
        assert done.returncode != 0
        assert told in " ".join(done.stderr.replace("│", " ").split())


async def test_a_list_of_erased_accounts_erases_them_again_after_a_restore(shop: Shop, mercato: Mercato, tmp_path: Path) -> None:
    pack = await packer(shop)
    order = await pack.placed(1)
    (tmp_path / "erased").write_text(f"{pack.buyer.id} 2026-11-30T12:00:00Z\n{uuid.uuid4()}\n\n")  # of the time that was lost
    done = mercato("account", "erase-again", "erased")
    assert (done.returncode, done.stdout) == (0, "1 erased, 1 unknown\n")
    assert await contact(shop, pack, order) == ""
    told = mercato("account", "erased", "--since", "2026-01-01T00:00:00Z")
    assert (told.returncode, told.stdout.split()[0], told.stdout.count("\n")) == (0, pack.buyer.id, 1)
    (tmp_path / "erased").write_text(told.stdout)
    assert mercato("account", "erase-again", "erased").stdout == "1 erased, 0 unknown\n"
    assert mercato("account", "erased", "--since", "2999-01-01T00:00:00Z").stdout == ""
    (tmp_path / "erased").write_text("jo@example.com\n")
    assert mercato("account", "erase-again", "erased").returncode == 2
