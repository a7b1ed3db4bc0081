"""Quotes: prices that the shop has named, and the digests by which a checkout finds whether they still hold."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError, NotFound
from mercato_server.domain.pricing import Breakdown, Delivery, PricedLine
from mercato_server.domain.promotion_errors import PromotionExhausted
from mercato_server.domain.promotions import Discount
from mercato_server.domain.provided_taxes import ProvidedTax, ProvidedTaxes
from mercato_server.domain.shipping import Destination
from mercato_server.domain.taxes import TaxTotal

LIFE = timedelta(minutes=30)
KEPT_MAX = 20
"""Quotes of an account; a new one takes the place of the oldest."""


class QuoteNotFound(NotFound):
    """No such quote, or it is another account's."""

    reason, resource_type, noun = "QUOTE_NOT_FOUND", "mercato.v1.Quote", "quote"


class QuoteExpired(MercatoError):
    """The quote has ended."""

    code, reason = Code.FAILED_PRECONDITION, "QUOTE_EXPIRED"

    def __init__(self, quote_id: UUID) -> None:
        super().__init__("the quote {quote_id} has ended; ask for a new one", quote_id=str(quote_id))


class QuoteChanged(MercatoError):
    """The purchase does not cost what was quoted, or not for the same reasons."""

    code, reason = Code.ABORTED, "QUOTE_CHANGED"

    def __init__(self, quoted: Breakdown, current: Breakdown, currency_code: str) -> None:
        super().__init__(
            "the quote was for a total of {quoted_total}, and the total is {current_total}; compare their parts and ask for a new quote",
            quoted_total=quoted.total_minor,
            current_total=current.total_minor,
        )
        if current.missing:
            self.metadata["missing"] = current.missing.reason
        self.quoted = quoted
        self.current = current
        self.currency_code = currency_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote as stored."""

    id: UUID
    account_id: UUID
    digest: bytes
    price: Breakdown
    currency_code: str
    expires_at: datetime

    def check(self, price: Breakdown, destination: Destination | None, at: datetime) -> MercatoError | None:
        """Return why a purchase is not what was quoted, or None; the last moment of a quote is no longer part of it.

        Uses that others have taken are no change of the price: PromotionExhausted tells the buyer which code to remove.
        """
        if at >= self.expires_at:
            return QuoteExpired(self.id)
        if isinstance(price.missing, PromotionExhausted):
            return price.missing
        is_quoted = price.missing is None and digest(price, destination) == self.digest
        return None if is_quoted else QuoteChanged(self.price, price, self.currency_code)


def digest(price: Breakdown, destination: Destination | None) -> bytes:
    """Return a digest of all that a price consists of: ids, quantities, amounts and rates, but no names."""
    content = {
        "destination": destination,
        "lines": price.lines,
        "discounts": sorted((str(each.promotion_id), str(each.product_id), each.amount_minor) for each in price.discounts),
        "delivery": price.delivery and price.delivery._replace(name=""),
        "taxes": sorted((total.ppm, total.net_minor, total.tax_minor) for total in price.taxes),
        "prices_include_tax": price.prices_include_tax,
        "total": price.total_minor,
    }
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).digest()


def to_json(price: Breakdown) -> str:
    """Return a price as JSON, for `from_json`."""
    return json.dumps({name: getattr(price, name) for name in _KEPT}, default=str)


_KEPT = ("lines", "total_minor", "discounts", "delivery", "taxes", "prices_include_tax", "provided")


def from_json(text: str) -> Breakdown:
    """Return the price of a JSON text of `to_json`."""
    kept: Mapping[str, Any] = json.loads(text)
    return Breakdown(
        lines=tuple(PricedLine(UUID(line[0]), *line[1:]) for line in kept["lines"]),
        total_minor=kept["total_minor"],
        discounts=tuple(Discount(UUID(one), name, product and UUID(product), amount) for one, name, product, amount in kept["discounts"]),
        delivery=kept["delivery"] and Delivery(UUID(kept["delivery"][0]), *kept["delivery"][1:]),
        taxes=tuple(TaxTotal(name, ppm, (), *amounts) for name, ppm, _, *amounts in kept["taxes"]),
        prices_include_tax=kept["prices_include_tax"],
        provided=kept["provided"] and _provided(*kept["provided"]),
    )


def _provided(question: str, *parts: Iterable[Any]) -> ProvidedTaxes:
    lines, delivery = (tuple(ProvidedTax._make(each) for each in part) for part in parts)
    return ProvidedTaxes(question, lines, delivery)
