"""The contract with a provider of taxes, in JSON; docs/taxes.md describes it for those who implement one."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from mercato_server.domain.provided_taxes import ProvidedTax, ProvidedTaxes, TaxQuestion
from mercato_server.domain.rounding import MILLION
from mercato_server.domain.tax_rates import RATE_NAME_MAX
from mercato_server.domain.taxes import TaxTreatment

VERSION = 1
DELIVERY_RATES_MAX = 10
"""Rates that share the delivery of a cart."""

Field = TypeVar("Field")


class UnusableAnswerError(Exception):
    """An answer breaks the contract; the message names the place."""


def request(question: TaxQuestion, currency: str) -> bytes:
    """Return the body of a request."""
    treatment = TaxTreatment.NORMAL if question.treatment.bears_tax else question.treatment
    content = {
        "version": VERSION,
        "currency_code": currency,
        "prices_include_tax": question.prices_include_tax,
        "tax_treatment": treatment,
        "place": question.place._asdict(),
        "lines": [line._asdict() for line in question.lines],
        "delivery": question.delivery and question.delivery._asdict(),
    }
    return json.dumps(content, default=str).encode()


def answer(body: bytes, question: TaxQuestion) -> ProvidedTaxes:
    """Return the taxes of an answer, which must fit the question in every part; raises UnusableAnswerError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise UnusableAnswerError("it is no JSON") from None
    asked = question.taxed_lines
    lines = _list(content, "lines", len(asked))
    if [_field(line, "product_id", str) for line in lines] != [str(line.product_id) for line in asked]:
        raise UnusableAnswerError("lines must have the products with a tax category, in the order of the request")
    delivery = _list(content, "delivery", DELIVERY_RATES_MAX)
    cost_minor = question.delivery.amount_minor if question.delivery else 0
    included = question.prices_include_tax
    provided = ProvidedTaxes(
        question.digest,
        tuple(_tax(line, wanted.amount_minor, included=included) for line, wanted in zip(lines, asked, strict=True)),
        tuple(_tax(part, _field(part, "amount_minor", int), included=included) for part in delivery),
    )
    if sum(part.amount_minor for part in provided.delivery) != cost_minor:
        raise UnusableAnswerError("the amounts of delivery must sum up to that of the request")
    if len({(part.ppm, part.name) for part in provided.delivery}) < len(delivery):
        raise UnusableAnswerError("delivery must have each rate once")
    if _field(content, "tax_minor", int) != sum(part.tax_minor for part in (*provided.lines, *provided.delivery)):
        raise UnusableAnswerError("tax_minor must be the sum of the taxes")
    return provided


def _tax(part: Any, amount_minor: int, *, included: bool) -> ProvidedTax:
    """Return the tax of a part. It is that of its rate, give or take a minor unit and a millionth of the amount."""
    name, ppm, tax_minor = _field(part, "name", str), _field(part, "rate_ppm", int), _field(part, "tax_minor", int)
    if not (name.strip() and name.isprintable() and len(name) <= RATE_NAME_MAX):
        raise UnusableAnswerError(f"name must have 1 to {RATE_NAME_MAX} characters")
    if not 0 <= ppm <= MILLION:
        raise UnusableAnswerError("rate_ppm must be from 0 to 1,000,000")
    if not 0 <= tax_minor <= amount_minor:
        raise UnusableAnswerError("tax_minor must be from 0 to the amount")
    divisor = MILLION + ppm if included else MILLION
    if abs(tax_minor * divisor - amount_minor * ppm) * MILLION > (MILLION + amount_minor) * divisor:
        raise UnusableAnswerError("tax_minor must be that of the rate")
    return ProvidedTax(amount_minor, name, ppm, tax_minor)


def _list(content: Any, name: str, longest: int) -> Sequence[Any]:
    found: Sequence[Any] = _field(content, name, list)
    if len(found) > longest:
        raise UnusableAnswerError(f"{name} must have at most {longest} parts")
    return found


def _field(part: Any, name: str, kind: type[Field]) -> Field:
    """Return a field; a number with a fraction is no integer, and neither is a truth value."""
    value = part.get(name) if isinstance(part, dict) else None
    if type(value) is not kind:
        raise UnusableAnswerError(f"{name} must be there, and of the type {kind.__name__}")
    return value
