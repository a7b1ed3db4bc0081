"""`mercato import` of the product exports of Shopify and WooCommerce, as an operator runs it at a terminal.

The samples were written for these tests, in the shapes of both exports.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from mercato_server.cli.moving_in import MoveIn, recognised
from mercato_server.store import moving_in
from support.commands import Mercato, fetch, put, sound

SHOPIFY = [
    "Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published", "Option1 Name", "Option1 Value",
    "Option2 Name", "Option2 Value", "Option3 Name", "Option3 Value", "Variant SKU", "Variant Grams", "Variant Inventory Tracker",
    "Variant Inventory Qty", "Variant Price", "Variant Compare At Price", "Variant Requires Shipping", "Image Src", "Image Position",
    "Image Alt Text", "Gift Card", "Variant Image", "Variant Weight Unit", "Status",
]  # fmt: skip
WOOCOMMERCE = [
    "ID", "Type", "SKU", "Name", "Published", "Is featured?", "Visibility in catalog", "Short description", "Description", "Tax status",
    "In stock?", "Stock", "Weight (lbs)", "Sale price", "Regular price", "Categories", "Images", "Parent", "Attribute 1 name",
    "Attribute 1 value(s)", "Attribute 1 visible", "Attribute 2 name", "Attribute 2 value(s)",
]  # fmt: skip
MUG = {
    "Handle": "clay-mug", "Title": "Clay Mug", "Body (HTML)": "<p>Thrown <b>by hand</b>.</p>", "Type": "Kitchen", "Published": "TRUE",
    "Option1 Name": "Title", "Option1 Value": "Default Title", "Variant Grams": "340", "Variant Inventory Qty": "12",
    "Variant Price": "19.90", "Variant Requires Shipping": "TRUE", "Image Src": "https://pics.example.com/mug-2.jpg",
    "Image Position": "2", "Status": "active",
}  # fmt: skip
MUG_PICTURE = {"Handle": "clay-mug", "Image Src": "https://pics.example.com/mug-1.jpg", "Image Position": "1"}
SHIRT = {
    "Handle": "shirt", "Title": "Shirt", "Product Category": "Apparel & Accessories > Clothing > Shirts", "Published": "TRUE",
    "Option1 Name": "Size", "Option1 Value": "M", "Option2 Name": "Colour", "Option2 Value": "Red", "Variant Price": "25",
    "Variant Inventory Qty": "3", "Image Src": "https://pics.example.com/shirt.jpg", "Image Position": "1",
    "Variant Image": "https://pics.example.com/red.jpg", "Status": "active",
}  # fmt: skip
SHIRT_BLUE = {"Handle": "shirt", "Option1 Value": "M", "Option2 Value": "Blue", "Variant Price": "26.50", "Variant Inventory Qty": "-2"}
PRODUCTS = """
SELECT sku, products.name, price_minor, on_hand, image_urls, options_text, weight_grams, needs_delivery, categories.name,
       product_groups.code
  FROM products
  JOIN stock_levels ON product_id = products.id
  LEFT JOIN categories ON categories.id = category_id
  LEFT JOIN product_groups ON product_groups.id = group_id
 WHERE deleted_at IS NULL
 ORDER BY products.id
"""
EVERYTHING = """
SELECT 'product', id::text, version::text FROM products
 UNION ALL SELECT 'group', id::text, version::text FROM product_groups
 UNION ALL SELECT 'stock', product_id::text, version::text FROM stock_levels
 UNION ALL SELECT 'event', id::text, '' FROM events
 UNION ALL SELECT 'audit', id::text, '' FROM audit_log
 UNION ALL SELECT 'ledger', id::text, '' FROM stock_ledger
 ORDER BY 1, 2
"""


def file_of(columns: list[str], rows: Iterable[Mapping[str, str]]) -> str:
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def shopify(*rows: Mapping[str, str]) -> str:
    return file_of(SHOPIFY, rows)


def woocommerce(*rows: Mapping[str, str]) -> str:
    return file_of(WOOCOMMERCE, rows)


async def test_shopifys_products_come_with_variants_pictures_stock_and_weights(mercato: Mercato, database: str, file: Path) -> None:
    put(file, "\ufeff" + shopify(MUG, SHIRT, MUG_PICTURE, SHIRT_BLUE))
    done = mercato("import", "products.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Shopify; ignored columns: Vendor, Tags, Variant Inventory Tracker, Variant Compare At Price, Image Alt Text",
        "created:",
        "  line 2 (clay-mug)",
        "  line 3 (shirt)",
        "  line 5 (shirt)",
        "taken in part:",
        "  line 5 (shirt): the stock of -2 counts as 0",
        "3 created, 0 updated, 0 unchanged, 0 left out as bad, 0 left out as not for sale, 1 taken in part",
    ]
    mug, red, blue = "https://pics.example.com/mug-", "https://pics.example.com/red.jpg", "https://pics.example.com/shirt.jpg"
    assert await fetch(database, PRODUCTS) == [
        ("clay-mug", "Clay Mug", 1990, 12, [f"{mug}1.jpg", f"{mug}2.jpg"], "", 340, True, "Kitchen", None),
        (None, "Shirt", 2500, 3, [red, blue], "Size: M, Colour: Red", 0, False, "Shirts", "shirt"),
        (None, "Shirt", 2650, 0, [blue], "Size: M, Colour: Blue", 0, False, "Shirts", "shirt"),
    ]
    assert await fetch(database, "SELECT description, description_html FROM products WHERE sku = 'clay-mug'") == [
        ("Thrown by hand.", "<p>Thrown <b>by hand</b>.</p>")
    ]
    ledger = await fetch(database, "SELECT kind, delta FROM stock_ledger ORDER BY product_id")
    assert ledger == [("initial", 12), ("initial", 3), ("initial", 0)]
    assert await sound(database)


@pytest.mark.parametrize("shop", ["Shopify", "WooCommerce"])
async def test_pictures_of_the_shop_itself_are_left_out(
    shop: str, mercato: Mercato, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERCATO_PICTURES_URL", "https://cdn.example.com")
    own, other = f"https://cdn.example.com/pictures/{'0' * 64}-small.webp", "https://p.example.com/a.jpg"
    cap = {"Type": "simple", "SKU": "CAP", "Name": "Cap", "Regular price": "1", "Images": f"{own}, {other}"}
    put(file, woocommerce(cap) if shop == "WooCommerce" else shopify({**MUG, "Image Src": other, "Variant Image": own}))
    done = mercato("import", "products.csv")
    assert done.returncode == 0
    assert "1 pictures were left out, since they are pictures of this shop, which only calls show" in done.stdout
    assert await fetch(database, "SELECT image_urls FROM products") == [([other],)]


async def test_the_same_file_again_changes_nothing_and_stock_stays_that_of_the_shop(mercato: Mercato, database: str, file: Path) -> None:
    put(file, shopify(MUG, MUG_PICTURE, SHIRT, SHIRT_BLUE))
    mercato("import", "products.csv")
    before = await fetch(database, EVERYTHING)
    again = mercato("import", "products.csv")
    assert again.stdout.splitlines()[-1].startswith("0 created, 0 updated, 3 unchanged")
    assert await fetch(database, EVERYTHING) == before
    put(file, shopify({**MUG, "Variant Inventory Qty": "99"}, MUG_PICTURE, {**SHIRT, "Variant Inventory Qty": "99"}, SHIRT_BLUE))
    mercato("import", "products.csv")
    assert await fetch(database, EVERYTHING) == before
    put(file, shopify(MUG, MUG_PICTURE, SHIRT, {**SHIRT_BLUE, "Variant Price": "27", "Variant SKU": "BLUE"}))
    changed = mercato("import", "products.csv")
    assert changed.stdout.splitlines()[1:3] == ["updated:", "  line 5 (shirt)"]
    assert [row[:4] for row in await fetch(database, PRODUCTS)][1:] == [(None, "Shirt", 2500, 3), ("BLUE", "Shirt", 2700, 0)]
    assert await sound(database)


CHANGES = [
    {"Title": "T-Shirt"}, {"Body (HTML)": "<p>Soft</p>"}, {"Type": "Tops"}, {"Variant Image": "https://pics.example.com/new.jpg"},
    {"Variant Grams": "150"}, {"Variant Requires Shipping": "TRUE"}, {"Variant SKU": "RED"}, {"Option2 Value": "RED"},
]  # fmt: skip


async def test_a_change_of_any_used_cell_of_a_variant_is_written_once(mercato: Mercato, file: Path) -> None:
    put(file, shopify(SHIRT))
    mercato("import", "products.csv")
    row = dict(SHIRT)
    for change in CHANGES:
        row |= change
        put(file, shopify(row))
        assert mercato("import", "products.csv").stdout.splitlines()[-1].startswith("0 created, 1 updated"), change
    assert mercato("import", "products.csv").stdout.splitlines()[-1].startswith("0 created, 0 updated, 1 unchanged")


async def test_the_new_names_of_shopifys_columns_are_known_too(mercato: Mercato, database: str, file: Path) -> None:
    columns = ["Title", "URL handle", "Description", "Published on online store", "Status", "SKU", "Option1 name", "Option1 value", "Price"]
    columns += ["Inventory quantity", "Weight value (grams)", "Requires shipping", "Product image URL"]
    row = ["Lamp", "lamp", "<p>Bright</p>", "TRUE", "Active", "LAMP-1", "", "", "5.05", "4", "100.5", "TRUE", "https://p.example.com/l.png"]
    put(file, file_of(columns, [dict(zip(columns, row, strict=True))]))
    assert mercato("import", "products.csv").returncode == 0
    assert await fetch(database, PRODUCTS) == [("LAMP-1", "Lamp", 505, 4, ["https://p.example.com/l.png"], "", 101, True, None, None)]


async def test_a_product_with_100_variants_is_one_group(mercato: Mercato, database: str, file: Path) -> None:
    rows = [
        {"Handle": "sock", "Option1 Value": f"{number // 10}", "Option2 Value": f"Hue {number % 10}", "Variant Price": f"{number}.5"}
        for number in range(100)
    ]
    rows[0] |= {"Title": "Sock", "Option1 Name": "Size", "Option2 Name": "Hue", "Status": "active"}
    put(file, shopify(*rows))
    assert mercato("import", "products.csv").stdout.splitlines()[-1].startswith("100 created")
    assert await fetch(database, "SELECT variants, min_price_minor, max_price_minor FROM product_groups") == [(100, 50, 9950)]
    assert len({row[5] for row in await fetch(database, PRODUCTS)}) == 100
    assert mercato("import", "products.csv").stdout.splitlines()[-1].startswith("0 created, 0 updated, 100 unchanged")
    assert await sound(database)


NOT_FOR_SALE = [
    ({"Status": "draft"}, "its status is draft"),
    ({"Status": "archived"}, "its status is archived"),
    ({"Status": "active", "Published": "false"}, "is not published"),
    ({"Gift Card": "true"}, "is a gift card"),
]


async def test_drafts_and_unpublished_products_do_not_go_on_sale(mercato: Mercato, database: str, file: Path) -> None:
    rows = [{**MUG, "Handle": f"mug-{number}", **given} for number, (given, _) in enumerate(NOT_FOR_SALE)]
    put(file, shopify(*rows))
    done = mercato("import", "products.csv")
    assert done.returncode == 0
    told = [f"  line {number + 2} (mug-{number}): {reason}" for number, (_, reason) in enumerate(NOT_FOR_SALE)]
    assert done.stdout.splitlines()[1:-1] == ["left out as not for sale:", *told]
    assert await fetch(database, PRODUCTS) == []


BAD = [
    ({"Variant Price": "19.999"}, "the price has more than 2 decimals, and USD has 2"),
    ({"Variant Price": "19,99"}, "the price must be a decimal number such as 1299.00"),
    ({"Variant Price": "-1"}, "the price must be a decimal number such as 1299.00"),
    ({"Variant Price": ""}, "the price is empty"),
    ({"Variant Price": "9" * 14}, "the price is too high"),
    ({"Variant Grams": "heavy"}, "the weight must be a decimal number such as 0.5"),
    ({"Title": ""}, "has no title"),
    ({"Option1 Name": "Size", "Option1 Value": "x" * 101}, "options[0].value: must have at most 100 characters"),
    ({"Option1 Name": "Size", "Option1 Value": "", "Variant SKU": "S"}, "has no value for the option Size"),
]


async def test_bad_lines_are_left_out_with_line_and_reason_and_the_others_are_imported(
    mercato: Mercato, database: str, file: Path, tmp_path: Path
) -> None:
    rows = [{**MUG, "Handle": f"mug-{number}", **given} for number, (given, _) in enumerate(BAD)]
    put(file, shopify(*rows, MUG) + "one,two\r\n")
    done = mercato("import", "products.csv", "--errors", "errors.csv")
    assert done.returncode == 3
    told = [f"  line {number + 2} (mug-{number}): {reason}" for number, (_, reason) in enumerate(BAD)]
    assert [line for line in done.stdout.splitlines() if line in told] == told
    assert f"  line {len(BAD) + 3}: has 2 cells, not {len(SHOPIFY)}" in done.stdout
    assert [row[0] for row in await fetch(database, PRODUCTS)] == ["clay-mug"]
    errors = list(csv.reader(io.StringIO((tmp_path / "errors.csv").read_text(encoding="utf-8"))))
    assert errors[0] == ["line", "product", "result", "reason"]
    assert sorted((row[0], row[3]) for row in errors[2:]) == sorted((str(place + 2), reason) for place, (_, reason) in enumerate(BAD))


def test_the_report_does_not_replace_the_file(mercato: Mercato, file: Path) -> None:
    put(file, shopify(MUG))
    before = file.read_bytes()
    done = mercato("import", "products.csv", "--errors", "./products.csv")
    assert (done.returncode, file.read_bytes()) == (2, before)
    assert "--errors names the file that is imported" in done.stderr


async def test_bad_lines_refuse_the_file_where_the_operator_says_so(mercato: Mercato, database: str, file: Path) -> None:
    put(file, shopify(MUG, {**MUG, "Handle": "other", "Variant Price": "x"}))
    done = mercato("import", "products.csv", "--on-error", "refuse")
    assert done.returncode == 1
    assert "line 3 (other): the price must be a decimal number" in done.stderr
    assert await fetch(database, PRODUCTS) == []


@pytest.mark.parametrize(("encoding", "told"), [("cp1252", "line 3 of products.csv is not UTF-8"), ("utf-16", "the first line")])
async def test_another_encoding_is_refused_with_its_line(mercato: Mercato, database: str, file: Path, encoding: str, told: str) -> None:
    put(file, shopify(MUG, {**MUG, "Handle": "cafe", "Title": "Café"}).encode(encoding))
    done = mercato("import", "products.csv")
    assert done.returncode == 1
    assert told in done.stderr
    assert await fetch(database, PRODUCTS) == []


async def test_harmful_html_long_texts_and_too_many_pictures_are_taken_in_part(mercato: Mercato, database: str, file: Path) -> None:
    body = (
        '<style>p { color: red }</style><script>alert("x")</script><p onclick="x()">Salt &amp; caf&eacute; <a href="javascript:x()">buy</a>'
        '</p>\n<img src="https://p.example.com/a.jpg" onerror="x()"><ul><li>"One"</li></ul>'
    )
    pictures = [{"Handle": "clay-mug", "Image Src": f"https://p.example.com/{number}.jpg"} for number in range(25)]
    bad = [{"Handle": "clay-mug", "Image Src": address} for address in ("javascript:alert(1)", "mug.jpg", "ftp://p.example.com/x.jpg")]
    long = {**MUG, "Handle": "long", "Title": "word " * 50, "Body (HTML)": "<p>" + "word " * 3_000 + "</p>"}
    put(file, shopify({**MUG, "Body (HTML)": body}, *pictures, *bad, long))
    done = mercato("import", "products.csv")
    assert done.returncode == 0
    rows = await fetch(database, "SELECT description, description_html, cardinality(image_urls), name FROM products ORDER BY id")
    link = '<a rel="nofollow noopener noreferrer">buy</a>'
    assert rows[0] == (
        'Salt & café buy\n\n"One"',
        f'<p>Salt &amp; café {link}</p>\n<img src="https://p.example.com/a.jpg"><ul><li>"One"</li></ul>',
        20,
        "Clay Mug",
    )
    assert rows[1][0] == ("word " * 2_000).strip()
    assert rows[1][3] == ("word " * 40).strip()
    told = done.stdout.splitlines()
    assert "  line 2 (clay-mug): 3 pictures were left out, since they have no http or https address" in told
    assert "  line 2 (clay-mug): 6 pictures were left out, since a product has at most 20" in told
    assert "  line 32 (long): the text of the description was cut after 10000 characters" in told
    assert "  line 32 (long): the name was cut after 200 characters" in told


async def test_a_sku_that_another_line_has_is_left_out(mercato: Mercato, database: str, file: Path) -> None:
    twice = {**SHIRT, "Variant SKU": "RED"}, {**SHIRT_BLUE, "Variant SKU": "RED"}
    put(file, shopify(*twice, {**MUG, "Variant SKU": "RED"}))
    done = mercato("import", "products.csv")
    assert [row[0] for row in await fetch(database, PRODUCTS)] == ["clay-mug", "RED", None]
    assert "  line 3 (shirt): its SKU RED is that of line 2, too, and was left out" in done.stdout.splitlines()
    before = await fetch(database, EVERYTHING)
    mercato("import", "products.csv")
    assert await fetch(database, EVERYTHING) == before


async def test_options_that_occur_twice_are_left_out(mercato: Mercato, database: str, file: Path) -> None:
    put(file, shopify(SHIRT, SHIRT_BLUE, {**SHIRT_BLUE, "Option2 Value": " BLUE "}))
    done = mercato("import", "products.csv")
    assert "  line 4 (shirt): has the options of line 3, too" in done.stdout.splitlines()
    assert [row[5] for row in await fetch(database, PRODUCTS)] == ["Size: M, Colour: Red", "Size: M, Colour: Blue"]


async def test_a_variant_that_the_shop_refuses_is_left_out_and_the_others_are_written(mercato: Mercato, database: str, file: Path) -> None:
    put(file, shopify({**MUG, "Variant SKU": "RED"}))
    mercato("import", "products.csv")
    put(file, shopify({**SHIRT, "Variant SKU": "RED"}, SHIRT_BLUE))
    done = mercato("import", "products.csv")
    assert done.returncode == 3
    assert [row[:2] for row in await fetch(database, PRODUCTS)] == [("RED", "Clay Mug"), (None, "Shirt")]
    [mug] = await fetch(database, "SELECT id::text FROM products WHERE sku = 'RED'")
    assert f"  line 2 (shirt): variants[0].sku: is that of the product {mug[0]}" in done.stdout.splitlines()
    assert await sound(database)


async def test_variants_beyond_200_are_left_out(mercato: Mercato, database: str, file: Path) -> None:
    rows = [{"Handle": "ring", "Option1 Value": f"{number}", "Variant Price": "5"} for number in range(202)]
    put(file, shopify({"Title": "Ring", "Option1 Name": "Size", **rows[0]}, *rows[1:]))
    done = mercato("import", "products.csv")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-4:-1] == [
        "left out as bad:",
        "  line 202 (ring): a product has at most 200 variants",
        "  line 203 (ring): a product has at most 200 variants",
    ]
    assert await fetch(database, "SELECT variants FROM product_groups") == [(200,)]


async def test_a_later_file_adds_variants_and_pictures_to_what_is_there(mercato: Mercato, database: str, file: Path) -> None:
    put(file, shopify(SHIRT, MUG))
    mercato("import", "products.csv")
    put(file, shopify(SHIRT, SHIRT_BLUE, MUG, MUG_PICTURE))
    assert mercato("import", "products.csv").stdout.splitlines()[-1].startswith("1 created, 1 updated, 1 unchanged")
    assert await sound(database)


SHOW_UPLOADED = """
WITH picture AS (
    SELECT sha256(position::text::bytea) AS digest, position FROM generate_series(0, 1) AS position
), added AS (
    INSERT INTO pictures (digest, widths, heights, unused_at) SELECT digest, '{1,3,5}', '{2,4,6}', NULL FROM picture
), shown AS (
    INSERT INTO product_pictures (product_id, digest, position, alt)
    SELECT id, digest, picture.position, 'A text' FROM picture, products
)
UPDATE products
   SET pictures = (SELECT jsonb_agg(jsonb_build_object('picture', encode(digest, 'hex'), 'alt', 'A text',
                                                       'sides', '[[1, 2], [3, 4], [5, 6]]'::jsonb) ORDER BY picture.position)
                     FROM picture)
"""
SHOWN = "SELECT price_minor, cardinality(image_urls), pictures::text FROM products ORDER BY id"


async def test_uploaded_pictures_stay_and_those_of_the_file_take_the_places_that_are_left(
    mercato: Mercato, database: str, file: Path
) -> None:
    put(file, shopify(SHIRT, SHIRT_BLUE, MUG))
    mercato("import", "products.csv")
    await fetch(database, SHOW_UPLOADED)
    uploaded = [row[2] for row in await fetch(database, SHOWN)]
    more = [
        {"Handle": handle, "Image Src": f"https://p.example.com/{number}.jpg"} for handle in ("shirt", "clay-mug") for number in range(18)
    ]
    put(file, shopify({**SHIRT, "Variant Price": "24"}, SHIRT_BLUE, {**MUG, "Variant Price": "18"}, *more))
    done = mercato("import", "products.csv")
    assert await fetch(database, SHOWN) == list(zip((1800, 2400, 2650), (18, 18, 18), uploaded, strict=True))
    parts = done.stdout.splitlines()
    reason = "pictures were left out, since a product has at most 20, the uploaded ones included"
    assert parts[parts.index("taken in part:") :][1:-1] == [
        "  line 3 (shirt): the stock of -2 counts as 0",
        f"  line 4 (clay-mug): 1 {reason}",
        f"  line 2 (shirt): 2 {reason}",
        f"  line 3 (shirt): 1 {reason}",
    ]
    before = await fetch(database, EVERYTHING)
    mercato("import", "products.csv")
    assert await fetch(database, EVERYTHING) == before
    assert await sound(database)


HOODIE = {
    "ID": "44", "Type": "variable", "SKU": "hoodie", "Name": "Hoodie", "Published": "1", "Visibility in catalog": "visible",
    "Description": "First line.\\nSecond <b>line</b>.", "Weight (lbs)": "1.5", "Categories": "Clothing > Hoodies, Sale",
    "Images": "https://p.example.com/a.jpg, https://p.example.com/b.jpg", "Attribute 1 name": "Color", "Attribute 1 value(s)": "Red, Green",
    "Attribute 2 name": "Material", "Attribute 2 value(s)": "Wool",
}  # fmt: skip
RED = {
    "ID": "45", "Type": "variation", "Name": "Hoodie - Red", "Published": "1", "Parent": "hoodie", "Regular price": "45", "Stock": "7",
    "Images": "https://p.example.com/red.jpg", "Attribute 1 name": "color", "Attribute 1 value(s)": "Red",
}  # fmt: skip
GREEN = {**RED, "ID": "46", "Parent": "id:44", "Attribute 1 value(s)": "Green", "Regular price": "42.5", "Stock": "", "Images": ""}
BOOK = {
    "ID": "50", "Type": "simple, virtual, downloadable", "Name": "Book", "Published": "1", "Regular price": "9.99", "Sale price": "5",
    "Short description": "Plain &amp; short", "Categories": "Books\\, old",
}  # fmt: skip


async def test_woocommerces_variations_become_variants_of_their_parent_whatever_their_order(
    mercato: Mercato, database: str, file: Path
) -> None:
    put(file, woocommerce(GREEN, BOOK, HOODIE, RED))
    done = mercato("import", "products.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "WooCommerce; ignored columns: Is featured?, Tax status, In stock?, Sale price, Attribute 1 visible",
        "created:",
        "  line 2 (hoodie)",
        "  line 5 (hoodie)",
        "  line 3 (woocommerce-50)",
        "taken in part:",
        "  line 4 (hoodie): 1 more categories were left out, since a product has one",
        "3 created, 0 updated, 0 unchanged, 0 left out as bad, 0 left out as not for sale, 1 taken in part",
    ]
    pictures = ["https://p.example.com/a.jpg", "https://p.example.com/b.jpg"]
    grams = int(Decimal("1.5") * Decimal("453.59237") + Decimal("0.5"))
    assert sorted(await fetch(database, PRODUCTS), key=str) == sorted(
        [
            (None, "Hoodie", 4250, 0, pictures, "Color: Green", grams, True, "Hoodies", "hoodie"),
            (None, "Hoodie", 4500, 7, ["https://p.example.com/red.jpg", *pictures], "Color: Red", grams, True, "Hoodies", "hoodie"),
            ("woocommerce-50", "Book", 999, 0, [], "", 0, False, "Books, old", None),
        ],
        key=str,
    )
    texts = await fetch(database, "SELECT DISTINCT description, description_html FROM products ORDER BY 1")
    assert texts == [("First line.\nSecond line.", "First line.<br>\nSecond <b>line</b>."), ("Plain & short", None)]
    before = await fetch(database, EVERYTHING)
    assert mercato("import", "products.csv").stdout.splitlines()[-1].startswith("0 created, 0 updated, 3 unchanged")
    assert await fetch(database, EVERYTHING) == before
    assert await sound(database)


WOO_LEFT_OUT = [
    ({**BOOK, "Published": "0"}, "is not published"),
    ({**BOOK, "Published": "-1"}, "is a draft"),
    ({**BOOK, "Visibility in catalog": "hidden"}, "is hidden in the catalog"),
    ({**BOOK, "Type": "grouped"}, "is of the type grouped"),
    ({**BOOK, "Type": "external"}, "is of the type external"),
    ({**BOOK, "Regular price": ""}, "the price is empty"),
    ({**BOOK, "Name": ""}, "has no name"),
    ({**RED, "Parent": "id:999"}, "its parent id:999 is not in the file"),
    ({**RED, "Parent": "hoodie", "Attribute 1 value(s)": ""}, "has no value for the attribute Color, so it stands for several variants"),
    ({**RED, "Parent": "hoodie", "Published": "-1"}, "is a draft"),
    ({**HOODIE, "ID": "60", "SKU": "lonely"}, "has no variation in the file"),
    ({**BOOK, "ID": ""}, "does not say to which product it belongs"),
]


async def test_woocommerces_lines_that_cannot_be_sold_are_left_out_with_their_reason(mercato: Mercato, database: str, file: Path) -> None:
    rows = [{**row, **({"ID": str(100 + place)} if row["ID"] == "50" else {})} for place, (row, _) in enumerate(WOO_LEFT_OUT)]
    put(file, woocommerce(HOODIE, {**RED, "ID": "47", "Attribute 1 value(s)": "Blue"}, *rows))
    done = mercato("import", "products.csv")
    assert done.returncode == 3
    for place, (_, reason) in enumerate(WOO_LEFT_OUT):
        assert any(line.startswith((f"  line {place + 4} ", f"  line {place + 4}:")) for line in done.stdout.splitlines())
        assert reason in done.stdout
    assert [row[5] for row in await fetch(database, PRODUCTS)] == ["Color: Blue"]


async def test_the_report_shows_100_lines_of_each_part_and_counts_all(mercato: Mercato, file: Path) -> None:
    put(file, shopify(*({**MUG, "Handle": f"mug-{number}", "Status": "draft"} for number in range(150))))
    told = mercato("import", "products.csv").stdout.splitlines()
    assert len(told) == 1 + 1 + 100 + 1 + 1
    assert told[-2:] == [
        "  and 50 more",
        "0 created, 0 updated, 0 unchanged, 0 left out as bad, 150 left out as not for sale, 0 taken in part",
    ]


async def test_a_product_with_html_goes_through_an_export_unchanged(mercato: Mercato, database: str, file: Path, tmp_path: Path) -> None:
    put(file, shopify({**MUG, "Body (HTML)": '<p>A "round"\nmug</p><ul><li>=1+1</li></ul>'}))
    mercato("import", "products.csv")
    before = await fetch(database, EVERYTHING)
    for option in ((), ("--spreadsheet-safe",)):
        assert mercato("export", "first.csv", *option).returncode == 0
        assert mercato("import", "first.csv", *option).stdout == "0 created, 0 updated, 1 unchanged, 0 bad rows skipped\n"
        mercato("export", "second.csv", *option)
        assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
    assert await fetch(database, EVERYTHING) == before


TREE = """
SELECT category.name, parent.name, category.slug
  FROM categories AS category LEFT JOIN categories AS parent ON parent.id = category.parent_id
 ORDER BY 1
"""
SLUGS = "SELECT kind, slug FROM slugs WHERE kind <> 'category' AND is_live ORDER BY 1, 2"


async def moved_in(database: str, file: Path, text: str) -> list[str]:
    """Import another shop's file; return the lines of the report."""
    put(file, text)
    head = recognised(file)
    assert head
    told: list[str] = []
    (await MoveIn(path=file, head=head, currency="USD").run(database)).show(told.append)
    return told


async def test_a_key_with_control_characters_is_left_out_and_told_on_one_line(database: str, file: Path) -> None:
    sized = {"Option1 Name": "Size", "Option1 Value": "S"}
    rows = [{**MUG, "Handle": f"a{bad}b", **given} for bad in "\0\x1b\n" for given in ({}, sized)]
    told = await moved_in(database, file, shopify(MUG, *({**row, "Handle": f"{place}{row['Handle']}"} for place, row in enumerate(rows))))
    begun = told.index("left out as bad:") + 1
    assert [line.rpartition(";")[0] for line in told[begun : begun + 6]] == [
        r"  line 3 (0a\x00b): its key: must not contain NUL",
        r"  line 4 (1a\x00b): code: must not contain NUL",
        r"  line 5 (2a\x1bb): its key: must be one line without control characters",
        r"  line 6 (3a\x1bb): code: must be one line without control characters",
        r"  line 7 (4a\nb): its key: must be one line without control characters",
        r"  line 9 (5a\nb): code: must be one line without control characters",
    ]
    assert [row[0] for row in await fetch(database, PRODUCTS)] == ["clay-mug"]


async def test_paths_of_categories_become_a_tree(database: str, file: Path) -> None:
    rows = [
        {**BOOK, "ID": str(number), "Categories": path}
        for number, path in enumerate(["Men > Shirts", "Women > Shirts", "Women", "Women, Women > Hats\\, caps", "Q &amp; A"])
    ]
    told = await moved_in(database, file, woocommerce(*rows))
    reason = "its category is Shirts (Women), since another category has the name Shirts"
    assert told[-3:-1] == ["taken in part:", f"  line 3 (woocommerce-1): {reason}"]
    assert await fetch(database, TREE) == [
        ("Hats, caps", "Women", "hats-caps"),
        ("Men", None, "men"),
        ("Q & A", None, "q-a"),
        ("Shirts", "Men", "shirts"),
        ("Shirts (Women)", "Women", "shirts-women"),
        ("Women", None, "women"),
    ]
    assert [row[8] for row in await fetch(database, PRODUCTS)] == ["Shirts", "Shirts (Women)", "Women", "Hats, caps", "Q & A"]
    before = await fetch(database, EVERYTHING)
    assert (await moved_in(database, file, woocommerce(*rows)))[-1].startswith("0 created, 0 updated, 5 unchanged")
    assert await fetch(database, EVERYTHING) == before
    assert await sound(database)


async def test_shopifys_type_goes_before_its_taxonomy(database: str, file: Path) -> None:
    await moved_in(database, file, shopify(SHIRT, {**MUG, "Product Category": "Home > Kitchen & Dining"}))
    assert [row[:2] for row in await fetch(database, TREE)] == [
        ("Apparel & Accessories", None), ("Clothing", "Apparel & Accessories"), ("Kitchen", None), ("Shirts", "Clothing"),
    ]  # fmt: skip
    assert [row[8] for row in await fetch(database, PRODUCTS)] == ["Kitchen", "Shirts"]


async def test_handles_become_slugs_where_they_are_free_and_fit(database: str, file: Path) -> None:
    other = {**MUG, "Handle": "other_mug", "Title": "Other Mug"}
    taken = {**MUG, "Handle": "café-1", "Title": "Bowl"}
    await moved_in(database, file, shopify({**MUG, "Variant SKU": "MUG"}))
    blue = {**SHIRT_BLUE, "Variant SKU": "BLUE"}
    told = await moved_in(database, file, shopify({**MUG, "Variant SKU": "NEW", "Title": "New Mug"}, SHIRT, blue, other, taken))
    left_out = [line for line in told if "slug" in line]
    assert left_out == [
        "  line 2 (clay-mug): its slug is made of its name, not clay-mug, since another one has it",
        "  line 5 (other_mug): its slug is made of its name, not other_mug, since it has another form",
        "  line 6 (café-1): its slug is made of its name, not café-1, since it has another form",
    ]
    named = [(kind, slug) for kind, slug in await fetch(database, SLUGS) if kind == "group" or not str(slug).startswith("shirt")]
    assert named == [("group", "shirt"), ("product", "bowl"), ("product", "clay-mug"), ("product", "new-mug"), ("product", "other-mug")]
    again = await moved_in(database, file, shopify(SHIRT, blue, other, taken))
    assert again[-1].startswith("0 created, 0 updated, 4 unchanged")
    assert not [line for line in again if "slug" in line]
    assert await sound(database)


async def test_the_column_slug_that_plugins_of_woocommerce_add_is_taken(database: str, file: Path) -> None:
    rows = [{**BOOK, "Slug": "a-book"}, {**BOOK, "ID": "51", "Slug": "a-book"}, {**HOODIE, "Slug": "the-hoodie"}, RED]
    told = await moved_in(database, file, file_of([*WOOCOMMERCE, "Slug"], rows))
    assert "  line 3 (woocommerce-51): its slug is made of its name, not a-book, since another one has it" in told
    assert await fetch(database, SLUGS) == [("group", "the-hoodie"), ("product", "a-book"), ("product", "book"), ("product", "hoodie")]


async def test_a_slug_that_another_call_has_just_taken_is_left_out(database: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await moved_in(database, file, shopify(MUG, SHIRT))

    async def taken(*_: object) -> set[str]:
        """Look before the other call."""
        return set()

    monkeypatch.setattr(moving_in, "taken", taken)
    rows = [{**BOOK, "Slug": "clay-mug"}, {**HOODIE, "Slug": "shirt"}, RED]
    told = await moved_in(database, file, file_of([*WOOCOMMERCE, "Slug"], rows))
    for key, line, slug in (("woocommerce-50", 2, "clay-mug"), ("hoodie", 4, "shirt")):
        assert f"  line {line} ({key}): its slug is made of its name, not {slug}, since another one has it" in told
    assert [slug for kind, slug in await fetch(database, SLUGS) if kind == "group"] == ["hoodie", "shirt"]
    assert await sound(database)


@pytest.mark.parametrize("product", [MUG, SHIRT], ids=["alone", "with options"])
async def test_a_column_that_the_file_lacks_changes_nothing(product: Mapping[str, str], database: str, file: Path) -> None:
    await moved_in(database, file, shopify({**product, "Body (HTML)": "<p>A <b>text</b></p>", "Variant Requires Shipping": "TRUE"}))
    before = await fetch(database, EVERYTHING)
    needed = ("Handle", "Title", "Option1 Name", "Option1 Value", "Option2 Name", "Option2 Value", "Variant Price")
    told = await moved_in(database, file, file_of([*needed], [{name: product.get(name, "") for name in needed}]))
    assert told[-1].startswith("0 created, 0 updated, 1 unchanged")
    assert await fetch(database, EVERYTHING) == before
    await moved_in(database, file, shopify({**product, "Body (HTML)": "", "Variant Requires Shipping": "TRUE"}))
    assert await fetch(database, "SELECT description, description_html FROM products") == [("", None)]
