"""The import of the demo shop into the database."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.connections import connect
from mercato_server.database.pool import SET_CURRENCY, Conn
from mercato_server.demo import DemoProduct, category_id, product_id
from mercato_server.demo.goods import DemoCategory, DemoGoods
from mercato_server.demo.prices import DemoPrices
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.pictures import Shown
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind
from mercato_server.store import demo_goods, demo_prices, inventory, search_documents, slugs, variants
from mercato_server.store.shown_pictures import column

IS_EMPTY = """
SELECT NOT EXISTS (SELECT FROM products) AND NOT EXISTS (SELECT FROM categories) AND NOT EXISTS (SELECT FROM product_groups)
"""

INSERT_CATEGORIES = """
INSERT INTO categories (id, name, keyed_name, name_key, name_key_rule, about, parent_id, ancestors, position)
SELECT $1, $2, $2, $3, $4, $5, ancestors[cardinality(ancestors)], ancestors, $7
  FROM (SELECT $6::uuid[] AS ancestors) AS place
"""

INSERT_PRODUCT = """
INSERT INTO products (id, name, description, price_minor, category_id, sku, image_urls, name_key, tax_category, needs_delivery,
                      weight_grams, pictures, group_id, options, folded_options, options_text, position, is_listed, currency_code)
SELECT $1, $2, $3, $4, id, $6, $7, $8, $9, true, $10, $11, $12, $13, $14, $15, $16, $12::uuid IS NULL, (SELECT currency_code FROM shop)
  FROM categories
 WHERE name = $5
"""

APPEND_EVENTS = "INSERT INTO events (kind, subject_id) SELECT 'product.created', id FROM products"


@dataclass(frozen=True, slots=True)
class Additions:
    """Goods and pictures that a new demo shop has beside its catalog."""

    goods: DemoGoods
    store: Callable[[], Awaitable[None]] | None = None
    """Writes the files of the pictures, durably and under the digests of demo/pictures.py; without it no product has a picture."""


async def load(
    database_url: str,
    currency: str,
    categories: tuple[str, ...],
    products: tuple[DemoProduct, ...],
    prices: DemoPrices | None = None,
    additions: Additions | None = None,
) -> bool:
    """Add what the shop lacks of the demo shop, in one transaction; return whether that was anything.

    The catalog, with the additions, is added if there are neither products, nor categories, nor groups. The prices are added if some
    products are those of the catalog, as they were added, and the shop never had a tax, a delivery or a promotion. Without prices, the
    products bear no tax.

    Amounts are in the shop's currency; a shop without one gets `currency`.
    """
    listed = {product_id(number): item for number, item in enumerate(products)}
    known = {**additions.goods.variants, **listed} if additions else listed  # in the order of their ids
    tree = additions.goods.categories if additions else _flat(categories)
    connection = await connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE products IN SHARE ROW EXCLUSIVE MODE")  # concurrent loads wait for each other
            is_empty = bool(await connection.fetchval(IS_EMPTY))
            lacking = prices if prices and await demo_prices.is_unpriced(connection, list(known), is_empty=is_empty) else None
            if is_empty:
                await connection.execute(SET_CURRENCY, currency)
            if lacking:
                await demo_prices.add_tax_categories(connection, lacking)
            if is_empty:
                await _add_catalog(connection, tree, known, additions, is_taxed=lacking is not None)
            if lacking:
                await demo_prices.add(connection, lacking, known)
            return is_empty or lacking is not None
    finally:
        await connection.close()


def _flat(names: tuple[str, ...]) -> tuple[DemoCategory, ...]:
    return tuple(
        DemoCategory(id=category_id(number), name=name, description="", ancestor_ids=(), position=0) for number, name in enumerate(names)
    )


async def _add_catalog(
    conn: "Conn", tree: tuple[DemoCategory, ...], known: Mapping[UUID, DemoProduct], additions: Additions | None, *, is_taxed: bool
) -> None:
    places = [(each.id, each.name, name_key(each.name), RULE_VERSION, each.description, each.ancestor_ids, each.position) for each in tree]
    await conn.executemany(INSERT_CATEGORIES, places)
    await slugs.give(conn, SlugKind.CATEGORY, [slugs.Named(each.id, each.name) for each in tree])
    groups = additions.goods.groups if additions else ()
    await demo_goods.add_groups(conn, groups)
    drawn = await demo_goods.add_pictures(conn, additions.store) if additions and additions.store else {}
    shown = {id_: drawn[item.picture] for id_, item in known.items() if drawn}
    await conn.executemany(INSERT_PRODUCT, [_values(id_, item, shown.get(id_), is_taxed=is_taxed) for id_, item in known.items()])
    await inventory.open_levels(conn, {id_: item.stock for id_, item in known.items()}, COMMAND_LINE)
    await search_documents.index(conn, list(known))
    await slugs.give(conn, SlugKind.PRODUCT, [slugs.Named(id_, item.name) for id_, item in known.items()])
    await demo_goods.show_pictures(conn, shown)
    await variants.refresh(conn, variants.LockedGroups({each.id: each.varies_by for each in groups}))
    await conn.execute(APPEND_EVENTS)


def _values(product_id: UUID, item: DemoProduct, picture: Shown | None, *, is_taxed: bool) -> tuple[object, ...]:
    urls, stored = ((), column([picture])) if picture else (item.image_urls, None)
    described = product_id, item.name, item.description, item.price_minor, item.category, item.sku, urls
    sold = name_key(item.name), item.tax_category if is_taxed else None, item.weight_grams
    return (*described, *sold, stored, item.group_id, *variants.columns(item.options), item.position)
