"""Validation of promotions and their codes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from mercato.v1.promotion_pb2 import (
    PROMOTION_KIND_AMOUNT,
    PROMOTION_KIND_BUY_X_GET_Y,
    PROMOTION_KIND_FREE_DELIVERY,
    PROMOTION_KIND_PERCENT,
    Promotion,
)
from mercato.v1.promotion_pb2 import PromotionKind as Kind
from mercato_server.domain.moments import EARLIEST, LATEST
from mercato_server.domain.promotion_codes import CODE_MAX, COUNT_MAX, LENGTH_MAX, LENGTH_MIN, PREFIX_MAX, CodeBatch, CodeDraft, is_code
from mercato_server.domain.promotion_drafts import (
    CATEGORIES_MAX,
    FIELDS,
    METHODS_MAX,
    NAME_MAX,
    PRIORITY_MAX,
    PRODUCTS_MAX,
    QUANTITY_MAX,
    USES_MAX,
    PromotionDraft,
)
from mercato_server.domain.promotions import PromotionKind, folded_code
from mercato_server.domain.rounding import MILLION
from mercato_server.validation.checks import Checks

KIND_OF: Mapping["Kind.ValueType", PromotionKind] = {
    PROMOTION_KIND_PERCENT: PromotionKind.PERCENT,
    PROMOTION_KIND_AMOUNT: PromotionKind.AMOUNT,
    PROMOTION_KIND_FREE_DELIVERY: PromotionKind.FREE_DELIVERY,
    PROMOTION_KIND_BUY_X_GET_Y: PromotionKind.BUY_X_GET_Y,
}
WRITABLE = tuple(field for column, field in FIELDS.items() if column != "kind")
"""Fields of a promotion that callers may change."""
_COLUMNS = {field: column for column, field in FIELDS.items()}


def draft(check: Checks, promotion: Promotion, currency: str) -> PromotionDraft:
    """Return a new promotion; all its fields are checked, also against its kind."""
    values = changes(check, promotion, WRITABLE, currency)
    made = PromotionDraft(kind=kind(check, promotion), **values)
    if made.kind is not PromotionKind.UNKNOWN:
        check.add(made.violations())
    return made


def kind(check: Checks, promotion: Promotion) -> PromotionKind:
    """Return the kind of a promotion, which must be there."""
    if promotion.kind not in KIND_OF:
        check.fail("promotion.kind", "must be one of {names}", names=", ".join(map(Kind.Name, KIND_OF)))
    return KIND_OF.get(promotion.kind, PromotionKind.UNKNOWN)


def optional_kind(check: Checks, promotion: Promotion) -> PromotionKind | None:
    """Return the kind of a promotion; None if the request leaves it out."""
    return kind(check, promotion) if promotion.kind else None


def changes(check: Checks, promotion: Promotion, fields: Collection[str], currency: str) -> dict[str, Any]:
    """Return the values of fields by column, each checked by itself; an absent field has its default."""
    return {_COLUMNS[field]: _READ[field](check, promotion, f"promotion.{field}", currency) for field in fields}


def code(check: Checks, field: str, value: str, usage_limit: int | None) -> CodeDraft:
    """Return a code that a caller chooses."""
    text = part_of_code(check, field, value, longest=CODE_MAX, shortest=1)
    folded = folded_code(text)
    if len(folded) > CODE_MAX >= len(text):
        check.fail(field, "must have at most {longest} characters when it is folded", longest=CODE_MAX)
    if usage_limit is not None:
        check.between("usage_limit", usage_limit, 1, USES_MAX)
    return CodeDraft(text, folded, usage_limit)


def batch(check: Checks, *, count: int, prefix: str, length: int, usage_limit: int) -> CodeBatch:
    """Return a batch of random codes."""
    return CodeBatch(
        count=check.between("count", count, 1, COUNT_MAX),
        prefix=part_of_code(check, "prefix", prefix, longest=PREFIX_MAX),
        length=check.between("length", length, LENGTH_MIN, LENGTH_MAX),
        usage_limit=check.between("usage_limit", usage_limit, 1, USES_MAX),
    )


def part_of_code(check: Checks, field: str, value: str, *, longest: int, shortest: int = 0) -> str:
    """Return a code, or the beginning of codes."""
    text = check.code(field, value, longest=longest, shortest=shortest)
    if not is_code(folded_code(text)):
        check.fail(field, "must have only letters, digits, - and _, and begin with a letter or digit")
    return text


def _name(check: Checks, promotion: Promotion, field: str, _currency: str) -> str:
    return check.line(field, promotion.name, shortest=1, longest=NAME_MAX)


def _number(name: str, low: int, high: int) -> Callable[[Checks, Promotion, str, str], int | None]:
    def read(check: Checks, promotion: Promotion, field: str, _currency: str) -> int | None:
        return check.between(field, getattr(promotion, name), low, high) if promotion.HasField(name) else None  # type: ignore[arg-type] # a constant

    return read


def _money(name: str, low: int) -> Callable[[Checks, Promotion, str, str], int | None]:
    def read(check: Checks, promotion: Promotion, field: str, currency: str) -> int | None:
        if not promotion.HasField(name):  # type: ignore[arg-type] # a constant
            return None
        amount = check.money(field, getattr(promotion, name), currency)
        if getattr(promotion, name).HasField("minor_units") and 0 <= amount < low:
            check.fail(f"{field}.minor_units", "must be at least {low}", low=low)
        return amount

    return read


def _ids(name: str, most: int) -> Callable[[Checks, Promotion, str, str], tuple[UUID, ...]]:
    def read(check: Checks, promotion: Promotion, field: str, _currency: str) -> tuple[UUID, ...]:
        values: Sequence[str] = getattr(promotion, name)
        return tuple(
            dict.fromkeys(check.uuid(f"{field}[{index}]", value) for index, value in enumerate(check.entries(field, values, most)))
        )

    return read


def _time(name: str) -> Callable[[Checks, Promotion, str, str], datetime | None]:
    def read(check: Checks, promotion: Promotion, field: str, _currency: str) -> datetime | None:
        if not promotion.HasField(name):  # type: ignore[arg-type] # a constant
            return None
        return check.time(field, getattr(promotion, name), EARLIEST, LATEST)

    return read


_READ: Mapping[str, Callable[[Checks, Promotion, str, str], Any]] = {
    "name": _name,
    "percent_ppm": _number("percent_ppm", 1, MILLION),
    "amount": _money("amount", 1),
    "buy_quantity": _number("buy_quantity", 1, QUANTITY_MAX),
    "get_quantity": _number("get_quantity", 1, QUANTITY_MAX),
    "product_ids": _ids("product_ids", PRODUCTS_MAX),
    "category_ids": _ids("category_ids", CATEGORIES_MAX),
    "get_product_ids": _ids("get_product_ids", PRODUCTS_MAX),
    "get_category_ids": _ids("get_category_ids", CATEGORIES_MAX),
    "shipping_method_ids": _ids("shipping_method_ids", METHODS_MAX),
    "delivery_max": _money("delivery_max", 0),
    "min_subtotal": lambda *arguments: _money("min_subtotal", 0)(*arguments) or 0,
    "needs_code": lambda _check, promotion, _field, _currency: promotion.needs_code,
    "start_time": _time("start_time"),
    "end_time": _time("end_time"),
    "usage_limit": _number("usage_limit", 1, USES_MAX),
    "per_buyer_limit": _number("per_buyer_limit", 1, USES_MAX),
    "priority": lambda check, promotion, field, _currency: check.between(field, promotion.priority, -PRIORITY_MAX, PRIORITY_MAX),
    "combinable": lambda _check, promotion, _field, _currency: promotion.combinable if promotion.HasField("combinable") else True,
}
"""How to read a field: its value, or the default of one that is absent."""
