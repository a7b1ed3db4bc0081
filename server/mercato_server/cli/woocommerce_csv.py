"""WooCommerce's product CSV.

A row is a product or a variation. A variation names its parent by SKU, or by `id:` and its ID. The columns have the names of the schema of
WooCommerce's own importer and exporter: https://github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from mercato_server.cli.shop_files import Remarks, Row
from mercato_server.domain import moved_goods
from mercato_server.domain.moved_goods import MovedProduct, MovedVariant, UnfitCellError
from mercato_server.domain.product_groups import OPTION_NAMES_MAX, VARIANTS_MAX, Option, fold

_NAMES = {
    "id", "type", "sku", "name", "published", "visibility in catalog", "short description", "description", "stock", "regular price",
    "categories", "images", "parent", "slug",
}  # fmt: skip
_ATTRIBUTE = re.compile(r"attribute ([0-9]{1,3}) (?:name|value\(s\))")
_WEIGHT = re.compile(r"weight \((g|kg|lbs?|oz)\)")
_SEPARATOR = re.compile(r"(?<!\\),")
_BLOCK = re.compile(r"<(?:p|div|ul|ol|table|h[1-6]|br|blockquote|pre)\b", re.IGNORECASE)
_SOLD = ("simple", "variable")


class WooCommerceFile:
    """A product export of WooCommerce."""

    name = "WooCommerce"

    def columns(self, header: Sequence[str]) -> frozenset[str]:
        """Return the columns that are used."""
        given = set(header)
        if not ({"type", "name", "regular price"} <= given and given & {"id", "sku"}):
            return frozenset()
        return frozenset(name for name in given if name in _NAMES or _ATTRIBUTE.fullmatch(name) or _WEIGHT.fullmatch(name))

    def product_key(self, row: Row) -> str:
        """Return the SKU of a product or of the parent of a variation; without one, `id:` and the ID."""
        if "variation" in _types(row):
            return row["parent"]
        return row["sku"] or (f"id:{row['id']}" if row["id"] else "")

    def other_key(self, row: Row) -> str:
        """Return `id:` and the ID of a product with a SKU."""
        return f"id:{row['id']}" if row["sku"] and row["id"] and "variation" not in _types(row) else ""

    def product(self, key: str, rows: Sequence[Row], currency_code: str, remarks: Remarks) -> MovedProduct | None:
        """Return a product with its variations."""
        parents = [row for row in rows if "variation" not in _types(row)]
        if not parents:
            for row in rows:
                remarks.bad(row.line, f"its parent {key} is not in the file")
            return None
        for row in parents[1:]:
            remarks.bad(row.line, f"has the key of line {parents[0].line}, too")
        parent = parents[0]
        if reason := _not_for_sale(parent):
            remarks.not_for_sale(parent.line, reason)
            return None
        if not parent["name"]:
            remarks.bad(parent.line, "has no name")
            return None
        is_variable = "variable" in _types(parent)
        children = [row for row in rows if "variation" in _types(row)] if is_variable else [parent]
        variants = tuple(_variants(parent, children, currency_code, remarks))
        if is_variable and not children:
            remarks.bad(parent.line, "has no variation in the file")
        remark = remarks.changed(parent.line)
        return _product(moved_goods.key_of(re.sub("^id:", "woocommerce-", key)), parent, variants, remark) if variants else None


def _product(key: str, parent: Row, variants: tuple[MovedVariant, ...], remark: moved_goods.Remark) -> MovedProduct:
    described = {"description", "short description"} & parent.columns
    written = _lines(parent["description"] or parent["short description"])
    text, html = moved_goods.description(written, remark) if described else (None, None)
    return MovedProduct(
        key=key,
        name=moved_goods.name(parent["name"], remark),
        description=text,
        description_html=html,
        category=moved_goods.deepest(_parts(parent["categories"]), remark),
        slug=parent["slug"],
        varies_by=tuple(option.name for option in variants[0].options),
        variants=variants,
    )


def _types(row: Row) -> set[str]:
    return {part.strip().lower() for part in row["type"].split(",")}


def _not_for_sale(row: Row) -> str:
    if not _types(row) & {*_SOLD, "variation"}:
        return f"is of the type {row['type'] or 'that is not stated'}"
    if row["published"] not in {"", "1"}:
        return "is a draft" if row["published"] == "-1" else "is not published"
    if row["visibility in catalog"].lower() == "hidden":
        return "is hidden in the catalog"
    return ""


def _variants(parent: Row, children: Sequence[Row], currency_code: str, remarks: Remarks) -> Iterator[MovedVariant]:
    """Yield the variants that can be taken; a product without variations is its only one."""
    sold = []
    for row in children:
        if row is not parent and (reason := _not_for_sale(row)):
            remarks.not_for_sale(row.line, reason)
        else:
            sold.append(row)
    named = _varies_by(parent, sold) if parent not in children else {}
    for row in sold[VARIANTS_MAX:]:
        remarks.bad(row.line, f"a product has at most {VARIANTS_MAX} variants")
    if parent not in children and sold and not 1 <= len(named) <= OPTION_NAMES_MAX:
        remarks.bad(parent.line, f"its variations differ in {len(named)} attributes, not in 1 to {OPTION_NAMES_MAX}")
        return
    pictures = moved_goods.images(_parts(parent["images"]), remarks.changed(parent.line)) if sold else ()
    for row in sold[:VARIANTS_MAX]:
        try:
            yield _variant(parent, row, named, pictures, currency_code, remarks)
        except UnfitCellError as error:
            remarks.bad(row.line, str(error))


def _varies_by(parent: Row, children: Sequence[Row]) -> Mapping[str, str]:
    """Return the attributes in which variations differ, by their folded names: in the order and with the spelling of the parent."""
    used = {fold(name): name for row in children for name, _ in _attributes(row)}
    ordered = [(fold(name), name) for name, _ in _attributes(parent) if fold(name) in used]
    return {**dict(ordered), **{folded: name for folded, name in used.items() if folded not in dict(ordered)}}


def _attributes(row: Row) -> list[tuple[str, str]]:
    """Return the attributes of a row, name and value, by their numbers; those without a value are left out."""
    numbers = sorted({int(found[1]) for name in row.cells if (found := _ATTRIBUTE.fullmatch(name))})
    pairs = [(row[f"attribute {number} name"], row[f"attribute {number} value(s)"]) for number in numbers]
    return [(name, value) for name, value in pairs if name and value]


def _variant(
    parent: Row, row: Row, named: Mapping[str, str], pictures: Sequence[str], currency_code: str, remarks: Remarks
) -> MovedVariant:
    remark = remarks.changed(row.line)
    values = {fold(name): value for name, value in _attributes(row)}
    if missing := [name for folded, name in named.items() if folded not in values]:
        raise UnfitCellError(f"has no value for the attribute {missing[0]}, so it stands for several variants")
    with moved_goods.cell("price"):
        price = moved_goods.price_minor(row["regular price"] or parent["regular price"], currency_code)
    with moved_goods.cell("weight"):
        weight = _weight(row) or _weight(parent)
    return MovedVariant(
        line=row.line,
        sku=row["sku"],
        options=tuple(Option(name, values[folded]) for folded, name in named.items()),
        price_minor=price,
        stock=None if row["stock"].lower() == "parent" else moved_goods.units(row["stock"], remark),
        image_urls=moved_goods.pictures(() if row is parent else _parts(row["images"]), pictures, remark),
        needs_delivery=not _types(row) & {"virtual", "downloadable"},
        weight_grams=weight,
    )


def _weight(row: Row) -> int:
    found = [(cell, unit[1]) for name, cell in row.cells.items() if (unit := _WEIGHT.fullmatch(name))]
    return moved_goods.grams(*found[0]) if found else 0


def _parts(cell: str) -> list[str]:
    """Return the entries of a list; a comma within an entry has a backslash before it."""
    return [part.replace("\\,", ",").strip() for part in _SEPARATOR.split(cell)]


def _lines(text: str) -> str:
    r"""Return a description with its line breaks.

    The export writes `\n` for a line break, and `\\\n` where the text has the two characters. WordPress shows line breaks of a text
    without blocks as such.
    """
    text = r"\n".join(part.replace(r"\n", "\n") for part in text.split(r"\\\n"))
    return text.replace("\n", "<br>\n") if "<" in text and not _BLOCK.search(text) else text
