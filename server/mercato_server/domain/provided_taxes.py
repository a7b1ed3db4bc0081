"""The taxes of a provider outside of the shop: what it is asked, and what it has answered."""

import hashlib
import json
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.shipping import Destination
from mercato_server.domain.taxes import TaxRate, TaxTreatment, unlisted_rate

BY_PROVIDER = "provider"
"""Stored as the rounding of an order whose taxes a provider has named."""


class AskedLine(NamedTuple):
    """A line of a cart; goods without a tax category bear no tax, and are there because the delivery may be taxed like all goods."""

    product_id: UUID
    tax_category: str
    needs_delivery: bool
    quantity: int
    amount_minor: int
    """The price of the line, after discounts."""


class AskedDelivery(NamedTuple):
    """The delivery of a cart, of a tax category or taxed as the goods."""

    tax_category: str
    amount_minor: int
    """The price of the delivery, after discounts."""


class TaxQuestion(NamedTuple):
    """All that the taxes of a cart depend on. It has no names, addresses or accounts."""

    place: Destination
    treatment: TaxTreatment
    prices_include_tax: bool
    lines: tuple[AskedLine, ...]
    """By product id."""
    delivery: AskedDelivery | None

    @property
    def taxed_lines(self) -> list[AskedLine]:
        """The lines that bear tax: those that the answer has, in the same order."""
        return [line for line in self.lines if line.tax_category]

    @property
    def digest(self) -> str:
        """A digest of the question, by which an answer is kept: it has no postal code."""
        return hashlib.sha256(json.dumps(self, default=str).encode()).hexdigest()


class ProvidedTax(NamedTuple):
    """The tax of a line, or of the part of a delivery that has one rate."""

    amount_minor: int
    name: str
    ppm: int
    tax_minor: int

    @property
    def rate(self) -> TaxRate:
        """The rate, which is in no table of the shop."""
        return unlisted_rate(self.ppm, self.name)


class ProvidedTaxes(NamedTuple):
    """The answer to a question."""

    question: str
    """The digest of the question."""
    lines: tuple[ProvidedTax, ...]
    """Those of `taxed_lines`."""
    delivery: tuple[ProvidedTax, ...]
    """By rate; together they are the whole delivery."""
