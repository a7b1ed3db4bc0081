"""The plan of an upsert: which variants of a group it creates, changes, moves and deletes, and why which variants are bad."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain import pictures, product_groups
from mercato_server.domain.catalog import Product, ProductDraft
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.group_errors import GroupFull
from mercato_server.domain.messages import Value
from mercato_server.domain.product_groups import VARIANTS_MAX, Options, OptionsMismatchError

_COPIED = (
    "name", "description", "description_html", "price_minor", "category_id", "sku", "image_urls", "tax_category", "needs_delivery",
    "weight_grams",
)  # fmt: skip
"""Fields of a draft that a product takes as they are."""


class VariantDraft(NamedTuple):
    """A variant of a call: the id and the etags by which its product is known to the caller, and all of its writable fields."""

    product_id: UUID | None
    draft: ProductDraft
    etags: Collection[str] = ()


class Placed(NamedTuple):
    """A product on sale, and its position in its group."""

    product: Product
    position: int


class Change(NamedTuple):
    """A write of an existing product."""

    before: Product
    after: Product
    position: int
    pictures: Sequence[bytes] | None = None
    """Digests of the pictures that it shows from now on; None leaves them as they are."""


class Creation(NamedTuple):
    """A product to create, with its options in the order of the group."""

    draft: ProductDraft
    options: Options
    position: int


class Taken(NamedTuple):
    """Facts of the shop besides the locked products: SKUs and slugs with their products, and the categories that a product may have."""

    skus: Mapping[str, UUID]
    slugs: Mapping[str, UUID]
    categories: Collection[UUID]
    tax_categories: Collection[str]


class Rules(NamedTuple):
    """The rules of an upsert for variants that it leaves out, and for the order of the group."""

    delete_others: bool = False
    """Whether it deletes the variants on sale that it leaves out."""
    reorder: bool = False
    """Whether the variants stand in the order of the call, before those that it leaves out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes of an upsert."""

    created: Sequence[Creation]
    changed: Sequence[Change]
    """Products whose fields differ, with their new positions."""
    moved: Sequence[tuple[UUID, int]]
    """Other products whose positions differ."""
    deleted: Sequence[Product]


class _Checked(NamedTuple):
    """A variant of a call with the product that it is, or None for a new one, and its options in the order of the group."""

    draft: ProductDraft
    options: Options
    stored: Placed | None


class _Violations(list[Violation]):
    """The bad variants of a call."""

    def fail(self, index: int, name: str, template: str, **values: Value) -> None:
        """Add a bad variant by its index and field."""
        self.append(Violation(f"variants[{index}].{name}", template, values))

    def require_different(self, name: str, values: Sequence[object]) -> None:
        """Report each variant whose value is that of an earlier one; an empty value is that of none."""
        first: dict[object, int] = {}
        for index, value in enumerate(values):
            if value and first.setdefault(value, index) != index:
                self.fail(index, name, "must differ from that of variants[{other}]", other=first[value])


def plan(group: tuple[UUID, Sequence[str]], stored: Sequence[Placed], variants: Sequence[VariantDraft], taken: Taken, rules: Rules) -> Plan:
    """Return the writes that give a group, an id with its names of options, these variants.

    `stored` are the variants on sale of the group in their order, and the products on sale that the call names. Raises InvalidRequest with
    every bad variant, EtagMismatch, or GroupFull.
    """
    group_id, varies_by = group
    violations = _Violations()
    checked = _checked(violations, group_id, varies_by, stored, variants)
    given = {each.stored.product.id for each in checked if each.stored}
    others = [placed for placed in stored if placed.product.group_id == group_id and placed.product.id not in given]
    deleted, kept = (others, []) if rules.delete_others else ([], others)
    left = [(placed, _in_new_order(violations, placed.product, varies_by)) for placed in kept]
    _require_free(violations, checked, left, taken, given | {placed.product.id for placed in deleted})
    if violations:
        raise InvalidRequest(violations)
    for each, (_, draft, etags) in zip(checked, variants, strict=True):
        if each.stored:
            each.stored.product.check_etag(etags, with_stock=draft.stock is not None)
    if len(checked) + len(left) > VARIANTS_MAX:
        raise GroupFull
    return _writes(group_id, checked, left, [placed.product for placed in deleted], reorder=rules.reorder)


def _checked(
    violations: _Violations, group_id: UUID, varies_by: Sequence[str], stored: Sequence[Placed], variants: Sequence[VariantDraft]
) -> list[_Checked]:
    found = _products(violations, group_id, stored, variants)
    checked = []
    for index, variant in enumerate(variants):
        options: Options = ()
        try:
            options = product_groups.of_group(variant.draft.options, varies_by)
        except OptionsMismatchError:
            violations.fail(index, "options", "must be exactly these: {varies_by}", varies_by=", ".join(varies_by))
        checked.append(_Checked(variant.draft, options, found.get(index)))
    violations.require_different("id", [variant.product_id for variant in variants])
    violations.require_different("sku", [variant.draft.sku for variant in variants])
    violations.require_different("slug", [variant.draft.slug for variant in variants])
    violations.require_different("options", [product_groups.key(each.options) for each in checked])
    return checked


def _products(violations: _Violations, group_id: UUID, stored: Sequence[Placed], variants: Sequence[VariantDraft]) -> dict[int, Placed]:
    """Return the product of each variant that exists: by its id, else by its SKU in the group, else by its options there."""
    by_id = {placed.product.id: placed for placed in stored}
    found: dict[int, Placed] = {}
    for index, variant in enumerate(variants):
        match = by_id.get(variant.product_id) if variant.product_id else None
        if variant.product_id and match is None:
            violations.fail(index, "id", "is no product on sale")
        elif match and match.product.group_id not in (None, group_id):
            violations.fail(index, "id", "is a variant of another product group; change its group_id first")
        elif match:
            found[index] = match
    for key_of, key_of_draft in ((_sku, _draft_sku), (_options, _draft_options)):
        matched = {placed.product.id for placed in found.values()}
        left = {
            key_of(placed.product): placed for placed in stored if placed.product.group_id == group_id and placed.product.id not in matched
        }
        for index, variant in enumerate(variants):
            key = key_of_draft(variant.draft)
            if index not in found and not variant.product_id and key in left and key:
                found[index] = left[key]
    return found


def _sku(product: Product) -> object:
    return product.sku


def _draft_sku(draft: ProductDraft) -> object:
    return draft.sku


def _options(product: Product) -> object:
    return product_groups.key(product_groups.parse(product.options))


def _draft_options(draft: ProductDraft) -> object:
    return product_groups.key(draft.options)


def _in_new_order(violations: _Violations, product: Product, varies_by: Sequence[str]) -> Options:
    """Return the options of a variant that the call leaves out, in the order of the group; they must be exactly those of the group."""
    options = product_groups.parse(product.options)
    try:
        return product_groups.of_group(options, varies_by)
    except OptionsMismatchError:
        values = {"product_id": str(product.id), "options": product_groups.text(options)}
        violations.append(Violation("group.varies_by", "the call leaves out the product {product_id}, which has {options}", values))
        return options


def _require_free(
    violations: _Violations, checked: Sequence[_Checked], left: Sequence[tuple[Placed, Options]], taken: Taken, free: Collection[UUID]
) -> None:
    """Report options, SKUs and slugs of products that keep them, and categories that no product may have; `free` may give theirs up."""
    kept = {each.stored.product.id for each in checked if each.stored and each.draft.slug in (None, each.stored.product.slug)}
    holders = {product_groups.key(options): placed.product.id for placed, options in left}
    for index, (draft, options, stored) in enumerate(checked):
        if options and (holder := holders.get(product_groups.key(options))):
            violations.fail(index, "options", "are those of the product {product_id}, which the call leaves out", product_id=str(holder))
        owner = taken.skus.get(draft.sku or "")
        if owner and owner not in free:
            violations.fail(index, "sku", "is that of the product {product_id}", product_id=str(owner))
        named = taken.slugs.get(draft.slug or "")
        if named and named != (stored and stored.product.id) and (named in kept or named not in free):
            violations.fail(index, "slug", "is that of the product {product_id}", product_id=str(named))
        if draft.category_id and draft.category_id not in taken.categories:
            violations.fail(index, "category_id", "does not exist")
        if draft.tax_category and draft.tax_category not in taken.tax_categories:
            violations.fail(index, "tax_category", "does not exist, or is archived")


def _writes(
    group_id: UUID, checked: Sequence[_Checked], left: Sequence[tuple[Placed, Options]], deleted: Sequence[Product], *, reorder: bool
) -> Plan:
    kept = [each.stored.position for each in checked if each.stored and each.stored.product.group_id == group_id]
    places = count(max([*kept, *(placed.position for placed, _ in left)], default=0) + 1)
    created: list[Creation] = []
    written: list[Change] = []
    places_of: dict[UUID, int] = {}
    for index, (draft, options, stored) in enumerate(checked, 1):
        is_placed = stored is not None and stored.product.group_id == group_id
        position = index if reorder else stored.position if stored and is_placed else next(places)
        if stored:
            shown = None if draft.pictures == _shown(stored.product) else draft.pictures
            written.append(Change(stored.product, _after(stored.product, draft, group_id, options), position, shown))
            places_of[stored.product.id] = stored.position
        else:
            created.append(Creation(draft, options, position))
    for index, (placed, options) in enumerate(left, len(checked) + 1):
        after = placed.product._replace(options=product_groups.dump(options))
        written.append(Change(placed.product, after, index if reorder else placed.position))
        places_of[placed.product.id] = placed.position
    changed = [each for each in written if each.after != each.before or each.pictures is not None]
    moved = [
        (each.after.id, each.position)
        for each in written
        if each.after == each.before and each.pictures is None and each.position != places_of[each.after.id]
    ]
    return Plan(created, changed, moved, deleted)


def _shown(product: Product) -> tuple[bytes, ...]:
    return tuple(each.picture.digest for each in pictures.shown(product.pictures))


def _after(product: Product, draft: ProductDraft, group_id: UUID, options: Options) -> Product:
    values = {name: getattr(draft, name) for name in _COPIED}
    stock = product.stock if draft.stock is None else draft.stock
    images, slug = list(draft.image_urls), draft.slug or product.slug
    return product._replace(
        **{**values, "image_urls": images, "stock": stock, "group_id": group_id, "options": product_groups.dump(options), "slug": slug}
    )
