"""Promotions: the discounts that they give to the lines of an order and to its delivery."""

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.rounding import MILLION, half_up, spread


class PromotionKind(OpenEnum):
    """The effect of a promotion; the values are those of the database."""

    PERCENT = "percent"
    AMOUNT = "amount"
    FREE_DELIVERY = "free_delivery"
    BUY_X_GET_Y = "buy_x_get_y"
    UNKNOWN = "unknown"
    """A kind of a later release: it is read, and never written. It gives nothing."""


class Scope(NamedTuple):
    """The products that a promotion is for: those of a set, and those of categories. Without both it is for all."""

    product_ids: frozenset[UUID] = frozenset()
    category_ids: frozenset[UUID] = frozenset()

    def covers(self, product_id: UUID, category_id: UUID | None) -> bool:
        """Return whether a product belongs to the scope."""
        return not (self.product_ids or self.category_ids) or product_id in self.product_ids or category_id in self.category_ids


EVERYTHING = Scope()


class Promotion(NamedTuple):
    """A promotion. The fields that its kind does not use have their defaults; amounts are in minor units of the shop's currency."""

    id: UUID
    name: str
    kind: PromotionKind
    scope: Scope = EVERYTHING
    percent_ppm: int = 0
    amount_minor: int = 0
    buy_quantity: int = 0
    get_quantity: int = 0
    get_scope: Scope | None = None
    """The products of which units are free, if they are others than those to buy."""
    method_ids: frozenset[UUID] = frozenset()
    """The methods whose delivery is free; without any, all."""
    delivery_max_minor: int | None = None
    """The highest price of a delivery that is free."""
    min_subtotal_minor: int = 0
    needs_code: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    usage_limit: int | None = None
    per_buyer_limit: int | None = None
    priority: int = 0
    combinable: bool = True

    @property
    def is_limited(self) -> bool:
        """Whether its uses are counted before one is given."""
        return self.usage_limit is not None or self.per_buyer_limit is not None

    def is_open(self, at: datetime) -> bool:
        """Return whether a moment is in its window, from its start to before its end."""
        return (self.starts_at is None or self.starts_at <= at) and (self.ends_at is None or at < self.ends_at)


class Discount(NamedTuple):
    """An amount that a promotion takes off a line, or off the delivery (without a product)."""

    promotion_id: UUID
    name: str
    product_id: UUID | None
    amount_minor: int


class PromotedLine(Protocol):
    """Units of a product, as far as promotions see them."""

    @property
    def product_id(self) -> UUID:
        """The product; a cart or an order has at most one line of each."""

    @property
    def category_id(self) -> UUID | None:
        """The category of the product."""

    @property
    def quantity(self) -> int:
        """The number of units."""


class Given(NamedTuple):
    """The discounts of an order, and what they leave of its lines. The delivery's discount has no amount yet."""

    discounts: list[Discount]
    left: list[int]
    free_delivery: Promotion | None


DeliveryPrice = Callable[[Sequence[int]], int | None]
"""Returns the price of the delivery of lines that cost so much; None if nothing is delivered."""


def folded_code(code: str) -> str:
    """Return the form of a code in which codes are compared: trimmed, NFKC, and without case (Unicode, section 3.13)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code.strip()).casefold()).strip()


def give(
    lines: Sequence[PromotedLine], totals: Sequence[int], promotions: Sequence[Promotion], method_id: UUID | None, delivery: DeliveryPrice
) -> Given:
    """Apply promotions one after the other, those of higher priority first, of equal priority by id.

    Each takes as its base what the earlier ones left. One that is not combinable applies only if it is the first that gives something, and
    then no other applies. One that would give nothing blocks nothing.

    Args:
        lines: the lines of the order, by product id.
        totals: the price of each line.
        promotions: those whose window is open and which may be used.
        method_id: the method of the delivery.
        delivery: the price of the delivery.
    """
    given = Given([], list(totals), None)
    ordered = sorted(promotions, key=lambda promotion: (-promotion.priority, promotion.id))
    for index, promotion in enumerate(ordered):
        is_first = not given.discounts and given.free_delivery is None
        if not (promotion.combinable or is_first):
            continue
        if promotion.kind is PromotionKind.FREE_DELIVERY:
            if given.free_delivery is not None or not _may_free(promotion, given.left, lines, method_id):
                continue
            later = [each for each in ordered[index + 1 :] if promotion.combinable and each.combinable]
            price_minor = delivery(_goods_left(lines, given.left, later))
            if not price_minor or (promotion.delivery_max_minor is not None and price_minor > promotion.delivery_max_minor):
                continue
            given = given._replace(free_delivery=promotion)
        else:
            amounts = _amounts(promotion, lines, given.left)
            if not any(amounts):
                continue
            _take(given, promotion, lines, amounts)
        if not promotion.combinable:
            break
    return given


def _take(given: Given, promotion: Promotion, lines: Sequence[PromotedLine], amounts: Sequence[int]) -> None:
    for position, (line, amount) in enumerate(zip(lines, amounts, strict=True)):
        if amount:
            given.left[position] -= amount
            given.discounts.append(Discount(promotion.id, promotion.name, line.product_id, amount))


def _goods_left(lines: Sequence[PromotedLine], left: Sequence[int], promotions: Sequence[Promotion]) -> list[int]:
    """Return what promotions of goods will leave of lines: the price of the delivery may depend on it."""
    rest = list(left)
    for promotion in promotions:
        if promotion.kind is PromotionKind.FREE_DELIVERY:
            continue
        rest = [total - amount for total, amount in zip(rest, _amounts(promotion, lines, rest), strict=True)]
    return rest


def _may_free(promotion: Promotion, left: Sequence[int], lines: Sequence[PromotedLine], method_id: UUID | None) -> bool:
    """Return whether a promotion makes deliveries of these lines by this method free, up to its highest price."""
    if promotion.method_ids and method_id not in promotion.method_ids:
        return False
    positions = _positions(promotion.scope, lines)
    return bool(positions) and sum(left[position] for position in positions) >= promotion.min_subtotal_minor


def _positions(scope: Scope, lines: Sequence[PromotedLine]) -> list[int]:
    return [position for position, line in enumerate(lines) if scope.covers(line.product_id, line.category_id)]


def _amounts(promotion: Promotion, lines: Sequence[PromotedLine], left: Sequence[int]) -> list[int]:
    """Return what a promotion of goods gives to each line."""
    amounts = [0] * len(lines)
    positions = _positions(promotion.scope, lines)
    weights = [left[position] for position in positions]
    base = sum(weights)
    if not positions or base < promotion.min_subtotal_minor:
        return amounts
    match promotion.kind:
        case PromotionKind.PERCENT:
            shares = spread(half_up(base * promotion.percent_ppm, MILLION), weights)
        case PromotionKind.AMOUNT:
            shares = spread(min(promotion.amount_minor, base), weights)
        case PromotionKind.BUY_X_GET_Y:
            return _free_units(promotion, lines, left)
        case _:
            return amounts
    for position, share in zip(positions, shares, strict=True):
        amounts[position] = share
    return amounts


def _free_units(promotion: Promotion, lines: Sequence[PromotedLine], left: Sequence[int]) -> list[int]:
    """Return the prices of the free units by line: the cheapest ones, as earlier promotions left them."""
    buy, get = promotion.buy_quantity, promotion.get_quantity
    bought = sum(lines[position].quantity for position in _positions(promotion.scope, lines))
    positions = _positions(promotion.get_scope or promotion.scope, lines)
    if promotion.get_scope in (None, promotion.scope):
        free = bought // (buy + get) * get + max(0, bought % (buy + get) - buy)
    else:
        free = min(sum(lines[position].quantity for position in positions), bought // buy * get)
    amounts = [0] * len(lines)
    for unit_minor, position, units in sorted(_priced_units(positions, lines, left)):
        taken = min(free, units)
        amounts[position] += unit_minor * taken
        free -= taken
    return amounts


def _priced_units(positions: Sequence[int], lines: Sequence[PromotedLine], left: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the units of lines as (price, line, number). If a line's price is no multiple of its units, some cost one minor unit more."""
    units = []
    for position in positions:
        low, dearer = divmod(left[position], quantity := lines[position].quantity)
        units += [(low, position, quantity - dearer), (low + 1, position, dearer)]
    return units
