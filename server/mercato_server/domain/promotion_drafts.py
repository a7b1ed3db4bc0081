"""Promotions as administrators write and read them: their fields, with limits and the rules of each kind."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from mercato_server.domain.errors import Violation
from mercato_server.domain.promotions import Promotion, PromotionKind, Scope

NAME_MAX = 200
PRODUCTS_MAX = 500
CATEGORIES_MAX = 100
METHODS_MAX = 100
QUANTITY_MAX = 1_000
PRIORITY_MAX = 1_000
USES_MAX = 10**9
"""The maximum of a limit of uses."""
LIVE_MAX = 1_000
"""Promotions of a shop that are not archived: workers keep them in memory."""
AUTOMATIC_MAX = 100
"""Those of them that need no code: the price of each cart takes time for each of them."""
RECOUNT_MAX = 20_000
"""Uses of a promotion up to which a change can begin to count its buyers: it counts past uses while checkouts wait."""


class PromotionDraft(NamedTuple):
    """The writable part of a promotion, and its kind. None and an empty tuple stand for absent fields.

    The fields have the names and the order of the columns.
    """

    name: str
    kind: PromotionKind
    percent_ppm: int | None = None
    amount_minor: int | None = None
    buy_quantity: int | None = None
    get_quantity: int | None = None
    product_ids: tuple[UUID, ...] = ()
    category_ids: tuple[UUID, ...] = ()
    get_product_ids: tuple[UUID, ...] = ()
    get_category_ids: tuple[UUID, ...] = ()
    method_ids: tuple[UUID, ...] = ()
    delivery_max_minor: int | None = None
    min_subtotal_minor: int = 0
    needs_code: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    usage_limit: int | None = None
    per_buyer_limit: int | None = None
    priority: int = 0
    combinable: bool = True

    def violations(self) -> Iterator[Violation]:
        """Yield the contradictions between fields. Each field by itself is taken for valid."""
        for column, kind in _OF_KIND.items():
            field, value = f"promotion.{FIELDS[column]}", getattr(self, column)
            if self.kind is not kind and value not in (None, ()):
                yield Violation(field, "must be absent: a promotion of kind {kind} does not use it", {"kind": self.kind.name})
            elif self.kind is kind and value is None and column not in _OPTIONAL:
                yield Violation(field, "is required by the kind {kind}", {"kind": kind.name})
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            yield Violation("promotion.end_time", "must be after start_time")

    def promotion(self, promotion_id: UUID) -> Promotion:
        """Return the promotion as prices are computed by."""
        gets = Scope(frozenset(self.get_product_ids), frozenset(self.get_category_ids))
        return Promotion(
            id=promotion_id,
            name=self.name,
            kind=self.kind,
            scope=Scope(frozenset(self.product_ids), frozenset(self.category_ids)),
            percent_ppm=self.percent_ppm or 0,
            amount_minor=self.amount_minor or 0,
            buy_quantity=self.buy_quantity or 0,
            get_quantity=self.get_quantity or 0,
            get_scope=gets if any(gets) else None,
            method_ids=frozenset(self.method_ids),
            delivery_max_minor=self.delivery_max_minor,
            min_subtotal_minor=self.min_subtotal_minor,
            needs_code=self.needs_code,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            usage_limit=self.usage_limit,
            per_buyer_limit=self.per_buyer_limit,
            priority=self.priority,
            combinable=self.combinable,
        )


FIELDS: Mapping[str, str] = {column: column for column in PromotionDraft._fields} | {
    "amount_minor": "amount",
    "method_ids": "shipping_method_ids",
    "delivery_max_minor": "delivery_max",
    "min_subtotal_minor": "min_subtotal",
    "starts_at": "start_time",
    "ends_at": "end_time",
}
"""The names of the fields in the API."""
_OF_KIND: Mapping[str, PromotionKind] = {
    "percent_ppm": PromotionKind.PERCENT,
    "amount_minor": PromotionKind.AMOUNT,
    "buy_quantity": PromotionKind.BUY_X_GET_Y,
    "get_quantity": PromotionKind.BUY_X_GET_Y,
    "get_product_ids": PromotionKind.BUY_X_GET_Y,
    "get_category_ids": PromotionKind.BUY_X_GET_Y,
    "method_ids": PromotionKind.FREE_DELIVERY,
    "delivery_max_minor": PromotionKind.FREE_DELIVERY,
}
"""The fields that one kind uses. All kinds use the others."""
_OPTIONAL = {"get_product_ids", "get_category_ids", "method_ids", "delivery_max_minor"}


class StoredPromotion(NamedTuple):
    """A promotion as stored."""

    id: UUID
    draft: PromotionDraft
    used: int
    """Uses by orders that are not cancelled."""
    codes: int
    """Codes that were made for it, the archived ones too."""
    version: int
    """The number of writes, those of counters aside."""
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change of the promotion."""
        return f"{self.version:x}"

    def changed(self, kind: PromotionKind | None, values: Mapping[str, Any]) -> tuple[PromotionDraft, list[Violation]]:
        """Return the draft with other values, by column, and what forbids it. A kind of None is not compared."""
        draft = self.draft._replace(**values)
        found = list(draft.violations())
        if kind not in (None, self.draft.kind):
            found.append(Violation("promotion.kind", "cannot be changed; create another promotion"))
        if draft.usage_limit is not None and draft.usage_limit < self.used:
            found.append(Violation("promotion.usage_limit", "must be at least {used}, the uses so far", {"used": self.used}))
        return draft, found
