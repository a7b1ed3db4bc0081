"""Products of another shop's file that this shop has already. bulk.py and group_upserts.py write them."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain import pictures, product_groups
from mercato_server.domain.catalog import ProductDraft
from mercato_server.domain.product_groups import Options
from mercato_server.domain.slugs import SlugKind

# Two parts, each by its index.
GET_KNOWN = """
SELECT id, sku, '' AS code, '' AS group_name, options, version, name, description, description_html, price_minor, category_id,
       image_urls, tax_category, needs_delivery, weight_grams, pictures
  FROM products
 WHERE sku = ANY($1::text[]) AND deleted_at IS NULL
 UNION ALL
SELECT products.id, sku, code, product_groups.name, options, products.version, products.name, description, description_html,
       price_minor, category_id, image_urls, tax_category, needs_delivery, weight_grams, pictures
  FROM product_groups
  JOIN products ON group_id = product_groups.id AND deleted_at IS NULL
 WHERE code = ANY($2::text[])
"""

Key = tuple[str, tuple[tuple[str, str], ...]]
"""The identity of a product in a file: its SKU and nothing, or the code of its group and its folded options."""


class Known(NamedTuple):
    """A product on sale. Where the file is silent, an import keeps these values."""

    id: UUID
    sku: str | None
    code: str
    """The code of its group; empty if it was found by its SKU."""
    group_name: str
    options: str
    version: int
    name: str
    description: str
    description_html: str | None
    price_minor: int
    category_id: UUID | None
    image_urls: list[str]
    tax_category: str | None
    needs_delivery: bool
    weight_grams: int
    pictures: str | None
    """The uploaded pictures, as stored."""

    @property
    def key(self) -> Key:
        """The identity of the product in the file."""
        return key(self.code, product_groups.parse(self.options)) if self.code else (self.sku or "", ())

    @property
    def shown(self) -> tuple[bytes, ...]:
        """The digests of the uploaded pictures."""
        return tuple(each.picture.digest for each in pictures.shown(self.pictures))

    def has(self, draft: ProductDraft) -> bool:
        """Tell whether the variant has every value of a draft, its stock aside."""
        mine = (self.name, self.description, self.description_html, self.price_minor, self.category_id, self.sku, tuple(self.image_urls))
        wanted = (draft.name, draft.description, draft.description_html, draft.price_minor, draft.category_id, draft.sku, draft.image_urls)
        more = (self.tax_category, self.needs_delivery, self.weight_grams, product_groups.parse(self.options))
        return (*mine, *more) == (*wanted, draft.tax_category, draft.needs_delivery, draft.weight_grams, draft.options)


def key(code: str, options: Options) -> Key:
    """Return the identity of a variant in a file."""
    return code, product_groups.key(options)


TAKEN_SLUGS = """
SELECT slugs.slug
  FROM slugs
  LEFT JOIN products AS product ON kind = 'product' AND id = subject_id
 WHERE kind = $1 AND slugs.slug = ANY($2::text[]) AND is_live AND product.deleted_at IS NULL
"""


async def taken(pool: "Pool", kind: SlugKind, wanted: Collection[str]) -> set[str]:
    """Return the slugs that things of a kind have, of the given ones."""
    return {row["slug"] for row in await pool.fetch(TAKEN_SLUGS, kind.value, list(wanted))}


async def known(pool: "Pool", skus: Sequence[str], codes: Sequence[str]) -> dict[Key, Known]:
    """Return the products on sale with one of the SKUs, and the variants of the groups with one of the codes."""
    found = [Known._make(row) for row in await pool.fetch(GET_KNOWN, skus, codes)]
    return {each.key: each for each in found}
