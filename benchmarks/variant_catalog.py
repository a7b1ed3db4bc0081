"""Fill a database with groups of four variants in a tree of categories; a million products take a few minutes.

`mercato import` would take several times as long. So the rows are copied before the tables get their indexes, with the words, keys and
listings that the server would have written: `mercato verify` finds nothing wrong. The same number gives the same names, options and stock.
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import catalog_csv
from mercato_server.database.pool import Conn, Pool, check_currency
from mercato_server.database.transactions import transaction
from mercato_server.domain.accounts import SERVER
from mercato_server.domain.catalog import CategoryDraft
from mercato_server.domain.name_keys import name_key
from mercato_server.domain.product_groups import Option, dump, dump_folded, text
from mercato_server.domain.search_documents import RULE_VERSION, product_words
from mercato_server.store import categories, name_keys
from mercato_server.store.search_documents import spelled

VARIANTS = 4
"""Variants of each group: two values of one option with two of another."""
BATCH = 2_500
"""Groups whose rows are copied together."""
FIRST_MS = 1_750_000_000_000
"""The time of the first product; each product is a millisecond older than the next one."""
DEPARTMENTS = {
    "Outdoor": ("Hiking", "Climbing", "Winter Sports", "Cycling"),
    "Teams and Courts": ("Football", "Tennis"),
    "Training": ("Running", "Fitness", "Swimming", "Water Sports"),
}
"""Categories by department. Below each category is one for each of its kinds."""
OWN = 0.2
"""Share of the groups of a category that are in the category itself, and not in that of their kind."""
COLOURS = ("Black", "White", "Navy", "Grey", "Red", "Blue", "Green", "Olive", "Orange", "Yellow", "Purple", "Pink")
SHADES = tuple(f"Shade {number}" for number in range(1, 11))
RARE = 0.001
"""Share of the groups that have a shade, a colour of few."""
SIZES = {
    "Shoe size": ("Shoes|Boots|Fins|Skis", tuple(str(size) for size in range(36, 48))),
    "Size": ("Shorts|Vest|Bib|Jersey|Jammer|Jacket|Layer|Gloves|Wetsuit|Cap|Aid|Helmet|Harness", ("XS", "S", "M", "L", "XL", "XXL")),
    "Capacity": ("", ("Small", "Medium", "Large")),
}
"""The other option: by its name the last words of kinds that have it, and its values. The last one is that of all other kinds."""
EMPTY, SOLD_OUT = 0.1, 0.05
"""Share of the variants without stock, and of the groups without any."""
TABLES = ("products", "product_groups", "product_search", "stock_levels", "stock_ledger", "category_listings", "slugs", "search_words")

# The indexes that enforce keys stay, because their entries come in order.
GET_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
  FROM pg_index
 WHERE indrelid = ANY($1::text[]::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""

FINISH = """
INSERT INTO category_listings (category_id, id, price_minor, name_key)
SELECT category_id, product_id, price_minor, name_key FROM product_search, unnest(category_ids[2:]) AS above (category_id);

INSERT INTO stock_ledger (product_id, kind, delta, actor_kind, reason)
SELECT product_id, 'initial', on_hand, 'system', 'benchmark' FROM stock_levels WHERE on_hand > 0;

INSERT INTO slugs (kind, slug, subject_id)
SELECT 'product', slug, id FROM products UNION ALL SELECT 'group', slug, id FROM product_groups;

SELECT setval(pg_get_serial_sequence('products', 'number'), (SELECT max(number) FROM products));
"""

ADD_WORDS = """
INSERT INTO search_words (word, products, stem, keys)
SELECT word, products, stem, string_to_array(keys, ' ')
  FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[]) AS known (word, products, stem, keys)
"""

FAST = "SET session_replication_role = replica; SET maintenance_work_mem = '512MB'; SET synchronous_commit = off; SET work_mem = '256MB'"

_COLUMNS = {
    "product_groups": (
        *("id", "code", "name", "varies_by", "currency_code", "min_price_minor", "max_price_minor", "variants", "slug"),
        *("variant_ids", "variant_options"),
    ),
    "products": (
        *("id", "number", "name", "name_key", "description", "price_minor", "currency_code", "category_id", "sku", "image_urls", "slug"),
        *("group_id", "options", "folded_options", "options_text", "position", "is_listed"),
    ),
    "product_search": (
        *("product_id", "locale", "number", "rule_version", "price_minor", "name", "name_key", "words", "vocabulary", "category_ids"),
    ),
    "stock_levels": ("product_id", "on_hand"),
}
Rows = dict[str, list[Sequence[object]]]


class _Group(NamedTuple):
    id: UUID
    name: str
    text: str
    category_ids: Sequence[UUID]
    """That of the products, then those above it, the topmost first."""
    options: Sequence[Sequence[Option]]
    prices: Sequence[int]
    stock: Sequence[int]


async def make(pool: "Pool", products: int, currency: str) -> None:
    """Fill an empty database with that many products, a multiple of VARIANTS; the pool has no limit of time."""
    await name_keys.load()
    shelves = await _categories(pool)
    vocabulary: Counter[str] = Counter()
    async with pool.acquire() as conn:
        await check_currency(conn, currency)
        await conn.execute(FAST)
        indexes = await conn.fetch(GET_INDEXES, list(TABLES))
        await conn.execute("; ".join(f"DROP INDEX {row['name']}" for row in indexes))
        groups = enumerate(_groups(products // VARIANTS, shelves))
        while batch := list(itertools.islice(groups, BATCH)):
            await _copy(conn, batch, currency, vocabulary)
        await conn.execute(FINISH)
        words, stems, keys = spelled(vocabulary)
        await conn.execute(ADD_WORDS, words, [vocabulary[word] for word in words], stems, keys)
        for row in indexes:
            await conn.execute(row["definition"])
        await conn.execute(f"VACUUM ANALYZE {', '.join(TABLES)}")
        await conn.execute("RESET ALL")


async def _categories(pool: "Pool") -> Mapping[tuple[str, str], Sequence[UUID]]:
    """Create the tree; return by category and kind, which is empty for the category itself, its id and those of the ones above it."""
    found: dict[tuple[str, str], Sequence[UUID]] = {}
    for department, names in DEPARTMENTS.items():
        top = await _category(pool, department, None)
        for name in names:
            middle = await _category(pool, name, top)
            found[name, ""] = (middle, top)
            for kind in catalog_csv.KINDS[name].split("|"):
                found[name, kind] = (await _category(pool, kind, middle), top, middle)
    return found


async def _category(pool: "Pool", name: str, parent_id: UUID | None) -> UUID:
    async with transaction(pool) as conn:
        return (await categories.create_in(conn, CategoryDraft(name=name, parent_id=parent_id), SERVER)).id


def _groups(count: int, shelves: Mapping[tuple[str, str], Sequence[UUID]]) -> Iterator[_Group]:
    chance = random.Random(count)  # noqa: S311 - the same catalog each time
    for number, (_, name, description, price, category, _, _) in enumerate(catalog_csv.products(count)):
        kind = next(kind for kind in catalog_csv.KINDS[str(category)].split("|") if str(name).endswith(kind))
        shelf = shelves[str(category), "" if chance.random() < OWN else kind]
        sold_out = chance.random() < SOLD_OUT
        yield _Group(
            id=_uuid(number * VARIANTS, 0),
            name=str(name),
            text=str(description),
            category_ids=shelf,
            options=_options(chance, kind),
            prices=[int(str(price)) + step * 100 for step in chance.choices((0, 0, 0, 2, 5), k=VARIANTS)],
            stock=[0 if sold_out or chance.random() < EMPTY else chance.randint(1, 500) for _ in range(VARIANTS)],
        )


def _options(chance: random.Random, kind: str) -> Sequence[Sequence[Option]]:
    other, (_, values) = next((name, each) for name, each in SIZES.items() if kind.endswith(tuple(each[0].split("|"))))
    first = chance.randrange(len(values) - 1)
    few, (one, two) = chance.random() < RARE, chance.sample(COLOURS, 2, counts=range(len(COLOURS), 0, -1))
    colours = (one, chance.choice(SHADES) if few else two if two != one else COLOURS[COLOURS.index(one) - 1])
    return [(Option(other, value), Option("Colour", colour)) for colour in colours for value in values[first : first + 2]]


def _uuid(number: int, kind: int) -> UUID:
    """Return a UUIDv7 of the product with a number, or of a group."""
    mixed = (number * 0x9E3779B97F4A7C15 + kind) & (1 << 62) - 1
    return UUID(int=FIRST_MS + number << 80 | 7 << 76 | kind << 64 | 1 << 63 | mixed)


async def _copy(conn: "Conn", groups: Sequence[tuple[int, _Group]], currency: str, vocabulary: Counter[str]) -> None:
    rows: Rows = {table: [] for table in _COLUMNS}
    for number, group in groups:
        _add_group(rows, number, group, currency)
        for place in range(VARIANTS):
            vocabulary.update(_add_variant(rows, number * VARIANTS + place + 1, group, place, currency))
    for table, found in rows.items():
        await conn.copy_to_table(table, source=_text(found), columns=_COLUMNS[table])


def _add_group(rows: Rows, number: int, group: _Group, currency: str) -> None:
    names = _array(option.name for option in group.options[0])
    prices, options = (min(group.prices), max(group.prices)), ", ".join(map(dump, group.options))
    ids = _array(str(_uuid(number * VARIANTS + place + 1, 1)) for place in range(VARIANTS))
    written = (group.id, f"G-{number}", group.name, names, currency, *prices, VARIANTS, f"group-{number}", ids, f"[{options}]")
    rows["product_groups"].append(written)


def _add_variant(rows: Rows, number: int, group: _Group, place: int, currency: str) -> Sequence[str]:
    """Add the rows of a variant; return the words of its name."""
    product_id, price, options = _uuid(number, 1), group.prices[place], group.options[place]
    sku, key = f"{group.name[:3].upper()}-{number:07}", rf"\\x{name_key(group.name).hex()}"
    words = product_words(group.name, group.text, sku)
    rows["products"].append(
        (
            *(product_id, number, group.name, key, group.text, price, currency, group.category_ids[0], sku),
            *(_array([f"https://images.example.com/mercato/{sku}.jpg"]), sku.lower(), group.id, dump(options), dump_folded(options)),
            *(text(options), place + 1, place == group.prices.index(min(group.prices))),
        )
    )
    above = (*(product_id, "", number, RULE_VERSION, price, group.name, key, words.lexemes), _array(words.vocabulary))
    rows["product_search"].append((*above, _array(map(str, group.category_ids))))
    rows["stock_levels"].append((product_id, group.stock[place]))
    return words.vocabulary


def _array(values: Iterable[str]) -> str:
    return "{" + ",".join(json.dumps(value, ensure_ascii=False) for value in values) + "}"


async def _text(rows: Iterable[Sequence[object]]) -> AsyncIterator[bytes]:
    """Yield rows in the text format of COPY; no value has a tab, a line feed or a backslash of its own."""
    yield "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()
