"""Shopify's product CSV.

Rows with the same handle are one product. The first one has its title and description; each row may have a variant, a picture, or both.
The columns have the names of Shopify's documentation, of the export until 2025 and since:
https://help.shopify.com/en/manual/products/import-export/using-csv
"""

from collections.abc import Iterator, Sequence

from mercato_server.cli.shop_files import Remarks, Row
from mercato_server.domain import moved_goods
from mercato_server.domain.moved_goods import MovedProduct, MovedVariant, UnfitCellError
from mercato_server.domain.product_groups import VARIANTS_MAX, Option

_NEW_NAMES = {
    "url handle": "handle",
    "description": "body (html)",
    "product category": "product category",
    "published on online store": "published",
    "sku": "variant sku",
    "price": "variant price",
    "weight value (grams)": "variant grams",
    "inventory quantity": "variant inventory qty",
    "requires shipping": "variant requires shipping",
    "product image url": "image src",
    "variant image url": "variant image",
}
"""The columns of the export since 2025, with the earlier names of those that were renamed."""
_NAMES = {
    "handle", "title", "body (html)", "product category", "type", "published", "status", "gift card", "option1 name", "option1 value",
    "option2 name", "option2 value", "option3 name", "option3 value", "variant sku", "variant price", "variant grams", "variant weight",
    "variant weight unit", "variant inventory qty", "variant requires shipping", "image src", "image position", "variant image",
}  # fmt: skip
_OF_VARIANT = ("option1 value", "option2 value", "option3 value", "variant sku", "variant price")
_NO_OPTION = ("title", "default title")
"""The option of a product without options: its name and its value."""
_LAST_PLACE = 10**6


class ShopifyFile:
    """A product export of Shopify."""

    name = "Shopify"

    def columns(self, header: Sequence[str]) -> frozenset[str]:
        """Return the columns that are used: those of the earlier or of the newer export."""
        given = set(header)
        if {"handle", "title"} <= given and given & {"body (html)", "variant price", "option1 name", "variant sku"}:
            return frozenset(given & _NAMES)
        if {"url handle", "title"} <= given:
            same = _NAMES - set(_NEW_NAMES.values()) | {"product category"}
            return frozenset(given & (same | set(_NEW_NAMES)))
        return frozenset()

    def product_key(self, row: Row) -> str:
        """Return the handle."""
        return row["handle"] or row["url handle"]

    def other_key(self, row: Row) -> str:  # noqa: ARG002 - the handle is the only key
        """Return no other key."""
        return ""

    def product(self, key: str, rows: Sequence[Row], currency_code: str, remarks: Remarks) -> MovedProduct | None:
        """Return the product of a handle."""
        rows = [_renamed(row) for row in rows]
        first = next((row for row in rows if row["title"]), None)
        if first is None:
            remarks.bad(rows[0].line, "has no title")
            return None
        if reason := _not_for_sale(first):
            remarks.not_for_sale(first.line, reason)
            return None
        remark = remarks.changed(first.line)
        named = [first[f"option{number} name"] for number in (1, 2, 3)]
        pictures = moved_goods.images(_pictures(rows), remark)
        variants = tuple(_variants(rows, named, pictures, currency_code, remarks))
        if not variants:
            return None
        described = "body (html)" in first.columns
        text, html = moved_goods.description(first.cells.get("body (html)", ""), remark) if described else (None, None)
        return MovedProduct(
            key=moved_goods.key_of(key),
            slug=key.strip(),
            name=moved_goods.name(first["title"], remark),
            description=text,
            description_html=html,
            category=moved_goods.category(first["type"] or first["product category"], remark),
            varies_by=tuple(option.name for option in variants[0].options),
            variants=variants,
        )


def _renamed(row: Row) -> Row:
    columns = frozenset(_NEW_NAMES.get(name, name) for name in row.columns)
    return Row(row.line, {_NEW_NAMES.get(name, name): cell for name, cell in row.cells.items()}, columns)


def _not_for_sale(first: Row) -> str:
    status = first["status"].lower()
    if status not in {"", "active"}:
        return f"its status is {status}"
    if first["published"].lower() == "false":
        return "is not published"
    if first["gift card"].lower() == "true":
        return "is a gift card"
    return ""


def _pictures(rows: Sequence[Row]) -> list[str]:
    """Return the pictures of a product by their positions, then in the order of the file."""
    placed = [(int(row["image position"]) if row["image position"].isdecimal() else _LAST_PLACE, row["image src"]) for row in rows]
    return [address for _, address in sorted(placed, key=lambda each: each[0]) if address]


def _variants(
    rows: Sequence[Row], named: Sequence[str], pictures: Sequence[str], currency_code: str, remarks: Remarks
) -> Iterator[MovedVariant]:
    """Yield the variants that can be taken."""
    has_options = bool(named[0]) and not _is_alone(rows, named)
    given = [row for row in rows if any(row[column] for column in _OF_VARIANT)]
    if not given:
        remarks.bad(rows[0].line, "has no variant with a price")
    for row in given[VARIANTS_MAX:]:
        remarks.bad(row.line, f"a product has at most {VARIANTS_MAX} variants")
    for row in given[: VARIANTS_MAX if has_options else 1]:
        try:
            yield _variant(row, [name for name in named if name] if has_options else [], pictures, currency_code, remarks)
        except UnfitCellError as error:
            remarks.bad(row.line, str(error))
    for row in () if has_options else given[1:VARIANTS_MAX]:
        remarks.bad(row.line, "is a second variant of a product without options")


def _is_alone(rows: Sequence[Row], named: Sequence[str]) -> bool:
    """Tell whether a product has no options: Shopify exports one with the value `Default Title`."""
    values = {row["option1 value"].lower() for row in rows if row["option1 value"]}
    return (named[0].lower(), *values) == _NO_OPTION and not any(named[1:])


def _variant(row: Row, named: Sequence[str], pictures: Sequence[str], currency_code: str, remarks: Remarks) -> MovedVariant:
    remark = remarks.changed(row.line)
    values = [row[f"option{number} value"] for number in (1, 2, 3)][: len(named)]
    if missing := [name for name, value in zip(named, values, strict=True) if not value]:
        raise UnfitCellError(f"has no value for the option {missing[0]}")
    with moved_goods.cell("price"):
        price = moved_goods.price_minor(row["variant price"], currency_code)
    with moved_goods.cell("weight"):
        in_grams = moved_goods.grams(row["variant grams"], "g")
        weight = in_grams or moved_goods.grams(row["variant weight"], row["variant weight unit"] or "g")
    return MovedVariant(
        line=row.line,
        sku=row["variant sku"].removeprefix("'"),
        options=tuple(map(Option, named, values)),
        price_minor=price,
        stock=moved_goods.units(row["variant inventory qty"], remark),
        image_urls=moved_goods.pictures([row["variant image"]], pictures, remark),
        needs_delivery=row["variant requires shipping"].lower() == "true" if "variant requires shipping" in row.columns else None,
        weight_grams=weight,
    )
