"""The books of an order are in the database as they were saved."""

from uuid import UUID

from mercato_server.database.transactions import transaction
from mercato_server.domain import payment_rules, refund_rules
from mercato_server.domain.order_books import Books, Writes
from mercato_server.domain.provider_facts import DisputeFact, DisputeState, ProviderRefundState, ProviderState, RefundFact
from mercato_server.store import order_books, saved_books
from support.sample_books import ADMINISTRATOR, fact, paid
from support.shop import Shop


async def stored(shop: Shop, order_id: UUID, changed: Books | None = None) -> Books:
    """Save books, and return those that are loaded after that."""
    async with transaction(shop.pool) as conn:
        await saved_books.save(conn, [changed] if changed else [])
        return (await order_books.load(conn, [order_id]))[order_id]


async def test_books_are_loaded_as_they_were_saved(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    await shop.add(buyer, await shop.product(admin, price=100), 2)
    order_id = UUID((await shop.checkout(buyer)).id)
    books = await stored(shop, order_id)
    [product_id] = books.units
    payment = paid(books)
    refund_rules.refund(books, payment, None, {product_id: 1}, "late", ADMINISTRATOR)
    outside = RefundFact(provider_ref="re_1", refund_id=None, state=ProviderRefundState.SUCCEEDED, amount_minor=10)
    dispute = DisputeFact(provider_ref="du_1", state=DisputeState.OPEN, amount_minor=30, withdrawn_minor=20, reason="fraudulent")
    payment_rules.apply(books, payment, fact(payment, ProviderState.CAPTURED, refunds=(outside,), disputes=(dispute,)))
    loaded = await stored(shop, order_id, books)
    assert (loaded.status, loaded.version, loaded.units) == (books.status, books.version, books.units)
    [again] = loaded.payments.values()
    assert (again.ledger, again.disputes, again.left_minor) == (payment.ledger, {"du_1": dispute}, 200 - 100 - 10 - 20)
    assert {each.id: (each.state, each.lines) for each in loaded.refunds.values()} == {
        each.id: (each.state, each.lines) for each in books.refunds.values()
    }
    assert loaded.open_requests == books.open_requests
    payment_rules.apply(loaded, again, fact(payment, ProviderState.CAPTURED, refunds=(outside,), disputes=(dispute,)))
    assert loaded.writes == Writes()
