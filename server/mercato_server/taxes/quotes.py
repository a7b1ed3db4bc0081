"""Quotes of carts whose taxes a provider names."""

from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.errors import Conflict
from mercato_server.domain.pricing_errors import QuoteRequired
from mercato_server.domain.quotes import Quote
from mercato_server.store import carts
from mercato_server.store.idempotency import IdempotencyKey, Stored, answered_or
from mercato_server.store.price_book import PriceBook
from mercato_server.taxes.provider import TaxProvider


async def quote(
    pool: "Pool", account_id: UUID, book: PriceBook, provider: TaxProvider | None, key: IdempotencyKey | None = None
) -> Quote | Stored:
    """Keep the price of an account's cart as a quote, with the taxes of a provider if there is one.

    The provider is asked before the transaction, and no connection to the database is held meanwhile. Raises what `carts.quote` raises,
    TaxProviderUnavailable, and Conflict if the cart has changed meanwhile.
    """
    if provider is None:
        return await carts.quote(pool, account_id, book, key)

    async def ask_and_keep() -> Quote | Stored:
        question = await carts.tax_question(pool, account_id, book)
        provided = await provider.taxes(question) if question else None
        try:
            return await carts.quote(pool, account_id, book, key, provided)
        except QuoteRequired:
            raise Conflict("the cart has changed while its taxes were asked for") from None

    return await answered_or(pool, key, ask_and_keep)
