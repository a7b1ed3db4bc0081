"""Notes of administrators about orders."""

from typing import Any

import grpc

from mercato.v1 import order_pb2
from mercato.v1.order_pb2 import CreateOrderNoteRequest, ListOrderNotesRequest, Order, OrderNote
from support.pages import every
from support.shop import Person, Shop, refusal

ABSENT = "00000000-0000-7000-8000-000000000000"
FILL = "INSERT INTO order_notes (order_id, actor_id, text) SELECT $1, $2, 'note ' || n FROM generate_series(1, $3::integer) n"


async def bought(shop: Shop, admin: Person, buyer: Person) -> Order:
    await shop.add(buyer, await shop.product(admin))
    return await shop.checkout(buyer)


async def add(shop: Shop, who: Person, order_id: str, text: str) -> OrderNote:
    return await shop.orders.CreateOrderNote(CreateOrderNoteRequest(order_id=order_id, text=text), metadata=who.metadata)


async def test_notes_are_listed_newest_first_with_their_authors(shop: Shop) -> None:
    admin, other, buyer = await shop.person(admin=True), await shop.person(admin=True), await shop.person()
    order, next_order = await bought(shop, admin, buyer), await bought(shop, admin, buyer)
    notes = [await add(shop, who, order.id, text) for who, text in ((admin, "Wrap it."), (other, " Two\nlines. "), (admin, "x" * 2_000))]
    elsewhere = await add(shop, admin, next_order.id, "Call back.")
    assert [(note.actor_id, note.text) for note in notes[:2]] == [(admin.id, "Wrap it."), (other.id, "Two\nlines.")]
    assert await every(shop.orders.ListOrderNotes, ListOrderNotesRequest, admin, order_id=order.id) == notes[::-1]
    assert await every(shop.orders.ListOrderNotes, ListOrderNotesRequest, other, order_id=next_order.id) == [elsewhere]
    rows = await shop.pool.fetch("SELECT id::text, order_id::text, actor_id::text, text FROM order_notes ORDER BY id")
    assert [tuple(row) for row in rows] == [(note.id, note.order_id, note.actor_id, note.text) for note in [*notes, elsewhere]]


async def test_a_note_shows_in_no_answer_for_the_buyer_and_in_no_mail_or_event(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    order = await bought(shop, admin, buyer)
    before = await shop.pool.fetch("SELECT id, kind FROM events ORDER BY id")
    note = await add(shop, admin, order.id, "Suspicious buyer")
    get = order_pb2.GetOrderRequest(order_id=order.id)
    assert await shop.orders.GetOrder(get, metadata=buyer.metadata) == order  # the etag too
    assert await shop.orders.GetOrder(get, metadata=admin.metadata) == order
    assert await shop.pool.fetch("SELECT id, kind FROM events ORDER BY id") == before
    [entry] = await shop.pool.fetch("SELECT subject_id::text, after::text FROM audit_log WHERE action = 'order.note_added'")
    assert tuple(entry) == (order.id, f'{{"note_id": "{note.id}"}}')
    for ask in (
        lambda: add(shop, buyer, order.id, "mine"),
        lambda: shop.orders.ListOrderNotes(ListOrderNotesRequest(order_id=order.id), metadata=buyer.metadata),
    ):
        assert (await refusal(ask())).reason == "ADMIN_ONLY"
    assert await shop.pool.fetchval("SELECT count(*) FROM order_notes") == 1


async def test_bad_notes_are_refused(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    order = await bought(shop, admin, buyer)
    for order_id, text, names in (
        ("1", "x", ["order_id"]),
        (order.id, "", ["text"]),
        (order.id, " \n", ["text"]),
        (order.id, "x" * 2_001, ["text"]),
        (order.id, "a\0b", ["text"]),
    ):
        error = await refusal(add(shop, admin, order_id, text))
        assert (error.reason, error.fields) == ("INVALID_FIELD", names)
    assert (await refusal(add(shop, admin, ABSENT, "x"))).reason == "ORDER_NOT_FOUND"
    listing = ListOrderNotesRequest(order_id=ABSENT)
    assert (await refusal(shop.orders.ListOrderNotes(listing, metadata=admin.metadata))).reason == "ORDER_NOT_FOUND"
    assert await shop.pool.fetchval("SELECT count(*) FROM order_notes") == 0
    assert list((await shop.orders.ListOrderNotes(ListOrderNotesRequest(order_id=order.id), metadata=admin.metadata)).notes) == []


async def test_an_order_has_a_thousand_notes_at_most(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    order, other = await bought(shop, admin, buyer), await bought(shop, admin, buyer)
    await shop.pool.execute(FILL, order.id, admin.id, 999)
    await add(shop, admin, order.id, "the last one")
    error = await refusal(add(shop, admin, order.id, "one more"))
    assert (error.code, error.reason, error.metadata["limit"]) == (grpc.StatusCode.FAILED_PRECONDITION, "ORDER_NOTE_LIMIT", "1000")
    await add(shop, admin, other.id, "there is room here")
    assert await shop.pool.fetchval("SELECT count(*) FROM order_notes WHERE order_id = $1", order.id) == 1_000


async def test_a_token_continues_the_list_of_its_order_only(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    order, other = await bought(shop, admin, buyer), await bought(shop, admin, buyer)
    await shop.pool.execute(FILL, order.id, admin.id, 3)

    async def ask(order_id: str, token: str = "") -> Any:
        request = ListOrderNotesRequest(order_id=order_id, page_size=2, page_token=token)
        return await shop.orders.ListOrderNotes(request, metadata=admin.metadata)

    token = (await ask(order.id)).next_page_token
    assert [note.text for note in (await ask(order.id, token)).notes] == ["note 1"]
    assert (await refusal(ask(other.id, token))).reason == "PAGE_TOKEN_INVALID"
