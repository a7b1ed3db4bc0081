"""Products of another shop's file on their way into the shop: their checks, and their writes in batches."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from mercato_server.cli.shop_files import Remark, Remarks, Spool, Weight
from mercato_server.database.pool import Pool
from mercato_server.domain import product_groups
from mercato_server.domain.accounts import Actor
from mercato_server.domain.catalog import CATEGORY_NAME_MAX, DESCRIPTION_MAX, SKU_MAX, ProductDraft
from mercato_server.domain.category_errors import SlugTaken
from mercato_server.domain.category_paths import Placed, Wanted
from mercato_server.domain.errors import InvalidRequest, MercatoError
from mercato_server.domain.group_upserts import Rules, VariantDraft
from mercato_server.domain.moved_goods import KEY_MAX, MovedProduct, MovedVariant
from mercato_server.domain.pictures import PICTURES_MAX, digest_of
from mercato_server.domain.product_groups import GroupDraft
from mercato_server.domain.slugs import SlugKind, is_slug
from mercato_server.store import bulk, category_paths, group_upserts, moving_in
from mercato_server.store.bulk import Incoming
from mercato_server.store.moving_in import Key, Known
from mercato_server.validation import drafts
from mercato_server.validation import product_groups as group_checks
from mercato_server.validation.checks import Checks

_VARIANT = re.compile(r"variants\[([0-9]+)\]")

Take = Callable[[Remark], None]
Categories = Mapping[str, Placed]
"""The categories of products, by the keys of these."""
Written = Callable[[str, int, str], None]
"""Takes what became of a line that is in the shop now: `created`, `updated` or `unchanged`, the line, and the product."""


def checked(spool: Spool, currency_code: str, take: Take, pictures_url: str) -> Iterator[MovedProduct]:
    """Yield the products of a file that can be written, each variant of which has options of its own, and no SKU of another line.

    The shop's own pictures, whose URLs are below `pictures_url`, are left out.
    """
    skus: dict[str, int] = {}
    for product in spool.products(currency_code, take):
        remarks = Remarks(take, product.key)
        try:
            with Checks() as check:
                name = drafts.named(check, "", product.name)
                category = tuple(check.line("category", each, longest=CATEGORY_NAME_MAX) for each in product.category)
                text = product.description and check.text("description", product.description, longest=DESCRIPTION_MAX)
                if product.varies_by:
                    group = GroupDraft(name=name, code=product.key, varies_by=product.varies_by)
                    group_checks.draft(check, "", group, ("name", "varies_by"))
                else:
                    check.code("its key", product.key, longest=KEY_MAX)
        except InvalidRequest as error:
            remarks.bad(product.variants[0].line, str(error))
            continue
        if variants := tuple(_external(each, pictures_url, remarks) for each in _variants(product, skus, remarks)):
            yield replace(product, name=name, category=category, description=text, variants=variants)


def _variants(product: MovedProduct, skus: dict[str, int], remarks: Remarks) -> Iterator[MovedVariant]:
    first: dict[object, int] = {}
    for variant in product.variants:
        try:
            with Checks() as check:
                options = group_checks.options(check, "options", variant.options)
        except InvalidRequest as error:
            remarks.bad(variant.line, str(error))
            continue
        if (other := first.setdefault(product_groups.key(options), variant.line)) != variant.line:
            remarks.bad(variant.line, f"has the options of line {other}, too")
            continue
        sku = _sku(variant, skus, remarks) or ("" if options else product.key)
        if sku and (other := skus.setdefault(sku, variant.line)) != variant.line:
            remarks.bad(variant.line, f"has the key of line {other}, too")
            continue
        yield replace(variant, options=options, sku=sku)


def _external(variant: MovedVariant, pictures_url: str, remarks: Remarks) -> MovedVariant:
    """Return a variant with its external pictures alone: only calls show the shop's own."""
    external = tuple(url for url in variant.image_urls if not digest_of(url, pictures_url))
    if own := len(variant.image_urls) - len(external):
        remarks.changed(variant.line)(f"{own} pictures were left out, since they are pictures of this shop, which only calls show")
    return replace(variant, image_urls=external)


def _sku(variant: MovedVariant, skus: Mapping[str, int], remarks: Remarks) -> str:
    """Return the SKU of a variant; one that it cannot have is left out, because it needs none."""
    try:
        with Checks() as check:
            sku = check.code("its SKU", variant.sku, longest=SKU_MAX)
    except InvalidRequest as error:
        remarks.changed(variant.line)(f"{error}, and was left out")
        return ""
    if sku in skus:
        remarks.changed(variant.line)(f"its SKU {sku} is that of line {skus[sku]}, too, and was left out")
        return ""
    return sku


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes batches of products, and tells what became of each line."""

    pool: "Pool"
    actor: Actor
    source: str
    take: Take
    written: Written

    async def write(self, batch: Sequence[MovedProduct]) -> None:
        """Write a batch: products without options in one transaction, each group in one of its own."""
        alone = [product for product in batch if not product.varies_by]
        grouped = [product for product in batch if product.varies_by]
        wanted = [product.variants[0].sku for product in alone], [product.key for product in grouped]
        before = await moving_in.known(self.pool, *wanted)
        alone, grouped = [self._fitted(product, before) for product in alone], [self._fitted(product, before) for product in grouped]
        alone = await self._named(alone, SlugKind.PRODUCT, before)
        grouped = await self._named(grouped, SlugKind.GROUP, before)
        categories = await self._placed(batch, before)
        if alone:
            await self._write_alone(alone, before, categories)
        for product in grouped:
            await self._write_group(product, before, categories)
        self._tell(batch, before, await moving_in.known(self.pool, *wanted))

    def _fitted(self, product: MovedProduct, before: Mapping[Key, Known]) -> MovedProduct:
        """Return a product without the pictures of the file for which its uploaded pictures leave no room; these are reported."""
        variants = []
        for variant in product.variants:
            known = before.get(_key(product, variant))
            room = PICTURES_MAX - len(known.shown if known else ())
            if (more := len(variant.image_urls) - room) > 0:
                reason = f"{more} pictures were left out, since a product has at most {PICTURES_MAX}, the uploaded ones included"
                Remarks(self.take, product.key).changed(variant.line)(reason)
            variants.append(replace(variant, image_urls=variant.image_urls[:room]))
        return replace(product, variants=tuple(variants))

    async def _named(self, products: Sequence[MovedProduct], kind: SlugKind, before: Mapping[Key, Known]) -> list[MovedProduct]:
        """Return products with the slugs that they get: new ones those of the file, if these are free; the others keep theirs."""
        new = [_is_new(product, before) for product in products]
        wanted = {product.slug for product, is_new in zip(products, new, strict=True) if is_new and is_slug(product.slug)}
        taken = await moving_in.taken(self.pool, kind, wanted) if wanted else set()
        named = []
        for product, is_new in zip(products, new, strict=True):
            is_free = product.slug in wanted and product.slug not in taken
            if is_new and product.slug and not is_free:
                self._slug_left_out(product)
            taken |= {product.slug} if is_new else set()
            named.append(replace(product, slug=product.slug if is_new and is_free else ""))
        return named

    def _slug_left_out(self, product: MovedProduct) -> None:
        problem = "another one has it" if is_slug(product.slug) else "it has another form"
        reason = f"its slug is made of its name, not {product.slug}, since {problem}"
        Remarks(self.take, product.key).changed(product.variants[0].line)(reason)

    async def _placed(self, batch: Sequence[MovedProduct], before: Mapping[Key, Known]) -> Categories:
        """Return the categories of products by their keys; the missing ones are created."""
        wanted = {product.key: Wanted(product.category, _current(product, before)) for product in batch if product.category}
        placed = await category_paths.place(self.pool, set(wanted.values()), self.actor)
        told: set[str] = set()
        for product in batch:
            found = placed[wanted[product.key]] if product.key in wanted else None
            if found and found.told and found.told not in told:
                told.add(found.told)
                Remarks(self.take, product.key).changed(product.variants[0].line)(found.told)
        return {key: placed[each] for key, each in wanted.items()}

    async def _write_alone(self, products: Sequence[MovedProduct], before: Mapping[Key, Known], categories: Categories) -> None:
        """Write products without options in one transaction. A slug that another call has just taken is left out."""
        source = f"{self.source}, {len(products)} products from line {products[0].variants[0].line}"
        while True:
            try:
                await bulk.write(self.pool, [_incoming(each, before, categories) for each in products], source, self.actor)
            except SlugTaken as error:
                if error.resource not in {each.slug for each in products}:
                    raise
                products = [self._without(each, error) for each in products]
            else:
                return

    def _without(self, product: MovedProduct, error: SlugTaken) -> MovedProduct:
        if not product.slug or product.slug != error.resource:
            return product
        self._slug_left_out(product)
        return replace(product, slug="")

    async def _write_group(self, product: MovedProduct, before: Mapping[Key, Known], categories: Categories) -> None:
        """Write a group without the variants that the shop refuses, which are reported; a group that does not differ is not locked."""
        variants = () if _is_there(product, before, categories) else product.variants
        while variants:
            given = [VariantDraft(None, _draft(product, variant, before, categories)) for variant in variants]
            draft = GroupDraft(name=product.name, code=product.key, varies_by=product.varies_by, slug=product.slug or None)
            try:
                upsert = group_upserts.Upsert(group_id=None, draft=draft, variants=given, rules=Rules(), etags=(), actor=self.actor)
                await group_upserts.upsert(self.pool, upsert)
            except SlugTaken as error:
                if product.slug != error.resource:
                    raise
                product = self._without(product, error)
            except MercatoError as error:
                reasons = _reasons(error, len(variants))
                for index, reason in reasons.items():
                    self.take(Remark(variants[index].line, product.key, Weight.BAD, reason))
                variants = tuple(variant for index, variant in enumerate(variants) if index not in reasons)
            else:
                return

    def _tell(self, batch: Sequence[MovedProduct], before: Mapping[Key, Known], after: Mapping[Key, Known]) -> None:
        for product in batch:
            for variant in product.variants:
                key = _key(product, variant)
                old, new = before.get(key), after.get(key)
                if new:
                    is_old = old is not None and old.id == new.id
                    part = "unchanged" if is_old and old and old.version == new.version else "updated" if is_old else "created"
                    self.written(part, variant.line, product.key)


def _key(product: MovedProduct, variant: MovedVariant) -> Key:
    return moving_in.key(product.key, variant.options) if product.varies_by else moving_in.key(variant.sku, ())


def _reasons(error: MercatoError, variants: int) -> dict[int, str]:
    """Return why which variants of an upsert were refused, by their index: all of them unless the error names some."""
    named = error.violations if isinstance(error, InvalidRequest) else ()
    found = {int(index[1]): violation.text for violation in named if (index := _VARIANT.match(violation.field))}
    return found or dict.fromkeys(range(variants), str(error))


def _current(product: MovedProduct, before: Mapping[Key, Known]) -> UUID | None:
    """Return the category that a product has now; that of a group is the one of its first variant."""
    known = [found for variant in product.variants if (found := before.get(_key(product, variant)))]
    return known[0].category_id if known else None


def _is_new(product: MovedProduct, before: Mapping[Key, Known]) -> bool:
    return not any(_key(product, variant) in before for variant in product.variants)


def _is_there(product: MovedProduct, before: Mapping[Key, Known], categories: Categories) -> bool:
    """Tell whether the shop has a group and its variants as the file has them."""
    known = [before.get(_key(product, variant)) for variant in product.variants]
    wanted = [_draft(product, variant, before, categories) for variant in product.variants]
    return all(each and each.group_name == product.name and each.has(draft) for each, draft in zip(known, wanted, strict=True))


def _incoming(product: MovedProduct, before: Mapping[Key, Known], categories: Categories) -> Incoming:
    """Return a product without options. None keeps what the shop has, where the file is silent; stock is that of the first import."""
    [variant] = product.variants
    category = categories.get(product.key)
    return Incoming(
        sku=variant.sku,
        name=product.name,
        description=product.description,
        price_minor=variant.price_minor,
        category=category.name if category else None,
        stock=None if _key(product, variant) in before else variant.stock or 0,
        image_urls=variant.image_urls or None,
        tax_category=None,
        needs_delivery=variant.needs_delivery,
        weight_grams=variant.weight_grams or None,
        slug=product.slug or None,
        description_html=product.description_html,
    )


def _draft(product: MovedProduct, variant: MovedVariant, before: Mapping[Key, Known], categories: Categories) -> ProductDraft:
    """Return a variant, with what the shop has where the file is silent; stock is that of the first import."""
    known, category = before.get(_key(product, variant)), categories.get(product.key)
    draft = ProductDraft(
        name=product.name,
        description=product.description or "",
        description_html=product.description_html or None,
        price_minor=variant.price_minor,
        category_id=category.id if category else None,
        sku=variant.sku or None,
        stock=variant.stock or 0,
        image_urls=variant.image_urls,
        needs_delivery=bool(variant.needs_delivery),
        weight_grams=variant.weight_grams,
        options=variant.options,
    )
    if known is None:
        return draft
    is_silent = product.description is None
    return replace(
        draft,
        sku=draft.sku or known.sku,
        description=known.description if is_silent else draft.description,
        description_html=known.description_html if is_silent else draft.description_html,
        needs_delivery=known.needs_delivery if variant.needs_delivery is None else variant.needs_delivery,
        stock=None,
        category_id=draft.category_id or known.category_id,
        image_urls=draft.image_urls or tuple(known.image_urls),
        tax_category=known.tax_category,
        weight_grams=draft.weight_grams or known.weight_grams,
        pictures=known.shown,
    )
