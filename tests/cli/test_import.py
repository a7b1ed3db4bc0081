"""`mercato import` and `mercato export`, as an operator runs them at a terminal."""

import asyncio
import csv
import signal
import sys
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from mercato.v1.catalog_pb2 import Category, CreateCategoryRequest, GetProductRequest, ListProductsRequest
from mercato_server.cli.catalog_import import Import
from mercato_server.cli.products_csv import CsvError
from support.commands import Mercato, environ, fetch, put, sound
from support.patience import until
from support.shop import Shop

HEADER = "sku,name,description,price_minor,category,stock,image_urls\n"
BALL = 'BALL,Ball,"Round, and ""red"".",1999,Football,10,https://example.com/1.jpg https://example.com/2.jpg\n'
BIKE = "BIKE,Bike,,89900,,3,\n"


PRODUCTS = """
SELECT sku, name, description, price_minor, on_hand, image_urls, products.version + stock_levels.version
  FROM products
  JOIN stock_levels ON product_id = id
 ORDER BY id
"""


async def test_a_file_is_imported_once_and_then_only_its_differences(mercato: Mercato, database: str, file: Path) -> None:
    put(file, HEADER + BALL + "\n" + BIKE)
    done = mercato("import", "products.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 created, 0 updated, 0 unchanged, 0 bad rows skipped\n", "")
    urls = ["https://example.com/1.jpg", "https://example.com/2.jpg"]
    ball, bike = await fetch(database, PRODUCTS)
    assert ball == ("BALL", "Ball", 'Round, and "red".', 1999, 10, urls, 1)
    assert bike == ("BIKE", "Bike", "", 89900, 3, [], 1)
    put(file, HEADER + BALL + BIKE.replace("89900", "79900"))
    assert mercato("import", "products.csv").stdout.startswith("0 created, 1 updated, 1 unchanged")
    assert await fetch(database, PRODUCTS) == [ball, (*bike[:3], 79900, *bike[4:6], 2)]
    assert await sound(database)


BAD = {
    3: ("NAMELESS,,,1,,1,", "name: must not be empty"),
    4: (",Ball,,1,,1,", "sku: must not be empty"),
    5: (f"{'S' * 65},Ball,,1,,1,", "sku: must have at most 64 characters"),
    6: ("S6,Ball,,19.99,,1,", "price_minor: must be a whole number"),
    7: ("S7,Ball,,1000000000001,,1,", "price_minor: must be from 0 to 1000000000000"),
    8: ("S8,Ball,,1,,-1,", "stock: must be from 0 to 1000000000"),
    9: ("S9,Ball,,1,,1,ftp://example.com", "image_urls[0]: must be an http or https URL"),
    10: ("BALL,Ball again,,1,,1,", "sku: is that of line 2, too"),
    11: ("S11,Ball,,1,,1,,extra", "has 8 cells, not 7"),
    12: (f"S12,Ball,{'x' * 10_001},1,,1,", "description: must have at most 10000 characters"),
    13: (f"S13,Ball,,1,{'c' * 101},1,", "category: must have at most 100 characters"),
    14: ("S14,Ba\x00ll,,1,,1,", "name: must not contain NUL"),
    15: ("S15,Ball,,9999999999999999999999999,,1,", "price_minor: must be from"),
    16: (f"S16,Ball,{'x' * 140_000},1,,1,", "is not CSV: field larger than field limit"),
    17: ("S17,Ball,,,,1,", "price_minor: must be a whole number"),
}
BAD_FILE = HEADER + BALL + "".join(row + "\n" for row, _ in BAD.values()) + BIKE


async def test_bad_rows_are_named_with_their_lines_and_nothing_is_imported(mercato: Mercato, database: str, file: Path) -> None:
    put(file, BAD_FILE)
    done = mercato("import", "products.csv")
    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()
    for (line, (_, reason)), told in zip(BAD.items(), said, strict=False):
        assert told.startswith(f"line {line}"), told
        assert reason in told
    assert said[-1].startswith(f"mercato: {len(BAD)} rows of products.csv are bad, so nothing was imported")
    assert await fetch(database, "SELECT id FROM products UNION ALL SELECT id FROM categories UNION ALL SELECT id FROM audit_log") == []


async def test_bad_rows_are_skipped_by_choice_and_all_of_them_written_to_a_file(mercato: Mercato, database: str, file: Path) -> None:
    put(file, BAD_FILE + "S,S,,x,,,\n" * 30)
    done = mercato("import", "--on-error", "skip", "--errors", "bad.csv", "products.csv")
    assert (done.returncode, done.stdout) == (3, f"2 created, 0 updated, 0 unchanged, {len(BAD) + 30} bad rows skipped\n")
    assert done.stderr.splitlines()[-1] == f"and {len(BAD) + 10} more bad rows"
    assert [row[0] for row in await fetch(database, PRODUCTS)] == ["BALL", "BIKE"]
    with file.with_name("bad.csv").open(encoding="utf-8", newline="") as errors:
        header, *rows = csv.reader(errors)
    assert header == ["line", "sku", "reason"]
    assert [int(row[0]) for row in rows] == [*BAD, *range(19, 49)]


async def test_pictures_of_the_shop_itself_are_bad_and_other_files_at_their_address_are_external(
    mercato: Mercato, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERCATO_PICTURES_URL", "https://cdn.example.com/shop/")
    own, other = f"https://cdn.example.com/shop/pictures/{'0' * 64}-large.webp", "https://cdn.example.com/shop/pictures/a.jpg"
    put(file, HEADER + f"S1,Ball,,1,,1,{other} {own}\nS2,Ball,,1,,1,{other}\n")
    done = mercato("import", "products.csv", "--on-error", "skip")
    assert done.returncode == 3
    assert done.stderr == "line 2 (S1): image_urls[1]: is a picture of this shop; only calls show those\n"
    assert [(row[0], row[5]) for row in await fetch(database, PRODUCTS)] == [("S2", [other])]


async def test_a_line_that_is_not_utf_8_is_a_bad_row(mercato: Mercato, database: str, file: Path) -> None:
    put(file, b"\xef\xbb\xbf" + HEADER.encode() + b"S,Caf\xe9,,1,,1,\nT\xe9,Tea,,1,,1,\n" + "U,Café,,1,,1,\r\n".encode())
    done = mercato("import", "products.csv", "--on-error", "skip")
    assert done.returncode == 3
    assert [line.split(": ", 1)[1] for line in done.stderr.splitlines()] == ["is not in UTF-8"] * 2
    assert [row[:2] for row in await fetch(database, PRODUCTS)] == [("U", "Café")]


@pytest.mark.parametrize("header", ["", "sku,name,price\n", "\xff\n"])
def test_a_file_with_other_columns_is_refused(mercato: Mercato, file: Path, header: str) -> None:
    put(file, (header + "1,2,3\n").encode("latin-1"))
    done = mercato("import", "products.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("mercato: the first line must name columns, separated by commas: sku, name, price_minor")


@pytest.mark.parametrize("content", ["sku,name,price_minor\r1,2,3\r", f"sku,name,price_minor,{'x' * 132_000}\n", "sku,name,price_minor,\n"])
def test_a_file_whose_first_line_is_no_header_is_refused_in_one_line(mercato: Mercato, file: Path, content: str) -> None:
    put(file, content)
    done = mercato("import", "products.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mercato: the first line ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 600


async def test_a_stray_quotation_mark_changes_no_price(mercato: Mercato, database: str, file: Path) -> None:
    stray = 'S1,Ball,"Round,1999,Football,10,\nS2,Pipe,of 6",500,,3,\n'
    put(file, HEADER + BIKE + stray + BALL)
    done = mercato("import", "products.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("line 3 (S1): has a quotation mark too many; lines 3 to 4 were read as one row")
    assert await fetch(database, PRODUCTS) == []
    assert mercato("import", "--on-error", "skip", "products.csv").returncode == 3
    assert [(row[0], row[3]) for row in await fetch(database, PRODUCTS)] == [("BIKE", 89900), ("BALL", 1999)]


def test_a_missing_file_is_reported_without_a_stack_trace(mercato: Mercato) -> None:
    done = mercato("import", "nowhere.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("mercato: ")
    assert "nowhere.csv" in done.stderr


async def test_columns_that_are_left_out_change_nothing(mercato: Mercato, database: str, file: Path) -> None:
    put(file, HEADER + BALL)
    mercato("import", "products.csv")
    [before] = await fetch(database, PRODUCTS)
    put(file, "price_minor,SKU,name\n2999,BALL,Ball\n")
    assert mercato("import", "products.csv").returncode == 0
    assert await fetch(database, PRODUCTS) == [(*before[:3], 2999, *before[4:6], 2)]


async def test_an_export_can_be_imported_and_changes_nothing(mercato: Mercato, shop: Shop, database: str, file: Path) -> None:
    admin = await shop.person(admin=True)
    put(file, HEADER + BALL + BIKE)
    mercato("import", "products.csv")
    texts = ('"', "\\.", "a\nb", "a\r\nb\rc", ",", "NULL", "Käse 🧀", "=1+1", " x ", "\\N", "'; --")
    for number, text in enumerate(texts):
        urls = [f"https://example.com/{number}?a=1,2&b='", "https://example.com/ü"]
        line = text.splitlines()[0]
        await shop.product(admin, name=f"Odd {line}!", description=text, sku=f"{number} {line}!", image_urls=urls)
    await shop.product(admin, name="No SKU")
    done = mercato("export", "out.csv")
    assert (done.returncode, done.stderr) == (0, f"{len(texts) + 2} products; 1 without a SKU were left out\n")
    exported = file.with_name("out.csv").read_bytes()
    before = await fetch(database, "SELECT xmin::text, id, version FROM products ORDER BY id")
    assert mercato("import", "out.csv").stdout == f"0 created, 0 updated, {len(texts) + 2} unchanged, 0 bad rows skipped\n"
    assert await fetch(database, "SELECT xmin::text, id, version FROM products ORDER BY id") == before
    await shop.pool.execute("UPDATE products SET deleted_at = now()")
    assert mercato("import", "out.csv").stdout.startswith(f"{len(texts) + 2} created")
    assert mercato("export").stdout.encode() == exported.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    mercato("export", "again.csv")
    assert file.with_name("again.csv").read_bytes() == exported


FORMULAS = ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''", "a=1", "'quoted' word")
"""Cells that a spreadsheet would run, cells that look as if they were protected already, and harmless ones."""


async def test_an_export_for_spreadsheets_holds_no_formula_and_comes_back_exactly(
    mercato: Mercato, shop: Shop, database: str, file: Path
) -> None:
    admin = await shop.person(admin=True)
    for number, text in enumerate(FORMULAS):
        sku, name = (f"{text.strip()} {number}" for _ in range(2))
        await shop.product(admin, name=name, description=text, sku=sku)
    await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name="-Sale")), metadata=admin.metadata)
    await shop.pool.execute("UPDATE products SET category_id = (SELECT id FROM categories)")
    mercato("export", "out.csv", "--spreadsheet-safe")
    exported = file.with_name("out.csv").read_bytes()
    with file.with_name("out.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    assert [row[2] for row in rows] == [text if text == "a=1" else f"'{text.strip()}" for text in FORMULAS]  # the API strips white space
    assert {row[4] for row in rows} == {"'-Sale"}
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r\n\uff1d"))]
    before = await fetch(database, "SELECT xmin::text, id, version FROM products ORDER BY id")
    unchanged = f"0 created, 0 updated, {len(FORMULAS)} unchanged, 0 bad rows skipped\n"
    assert mercato("import", "out.csv", "--spreadsheet-safe").stdout == unchanged
    assert await fetch(database, "SELECT xmin::text, id, version FROM products ORDER BY id") == before
    await shop.pool.execute("UPDATE products SET deleted_at = now()")
    assert mercato("import", "out.csv", "--spreadsheet-safe").stdout.startswith(f"{len(FORMULAS)} created")
    mercato("export", "again.csv", "--spreadsheet-safe")
    assert file.with_name("again.csv").read_bytes() == exported


async def test_an_export_writes_through_no_link(mercato: Mercato, shop: Shop, file: Path) -> None:
    await shop.product(await shop.person(admin=True), sku="BALL")
    file.with_name("precious").write_text("kept")
    file.with_name("out.csv.unfinished").symlink_to(file.with_name("precious"))
    assert mercato("export", "out.csv").returncode == 0
    assert file.with_name("precious").read_text() == "kept"


NOT_WRITTEN = "SELECT WHERE NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'products'::regclass AND mode = 'RowExclusiveLock')"


async def test_an_import_gives_a_shop_that_has_no_currency_its_own(database: str, file: Path) -> None:
    await fetch(database, "DELETE FROM shop")
    put(file, HEADER + BALL)
    await Import(path=file, currency="EUR").run(database)
    await Import(path=file, currency="USD").run(database)
    assert await fetch(database, "SELECT currency_code FROM shop UNION ALL SELECT currency_code FROM products") == [("EUR",), ("EUR",)]


async def test_an_import_that_is_killed_goes_on_when_it_is_started_again(mercato: Mercato, database: str, file: Path) -> None:
    rows, done = 6_000, 3_000
    put(file, HEADER + "".join(f"S{number},Ball {number},,{number},Football,{number % 9},\n" for number in range(rows)))
    command = [sys.executable, "-m", "mercato_server", "import", "--on-error", "skip", str(file)]
    theirs = await asyncpg.connect(database)  # the lock stops the fourth batch before its end
    await theirs.execute("BEGIN")
    await theirs.execute(
        "INSERT INTO products (name, description, price_minor, currency_code, image_urls, sku) VALUES ('', '', 1, 'USD', '{}', 'S3500')"
    )
    process = await asyncio.create_subprocess_exec(*command, env=environ(database), stdout=asyncio.subprocess.DEVNULL)
    await until(lambda: fetch(database, "SELECT FROM pg_locks WHERE NOT granted"))
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    await theirs.close()
    await until(lambda: fetch(database, NOT_WRITTEN))
    assert await fetch(database, "SELECT count(*) FROM products") == [(done,)]
    assert await sound(database)
    again = mercato("import", "products.csv")
    assert again.stdout == f"{rows - done} created, 0 updated, {done} unchanged, 0 bad rows skipped\n"
    assert await fetch(database, "SELECT count(*), sum(version), count(DISTINCT sku) FROM products") == [(rows, rows, rows)]
    assert await sound(database)


async def test_a_file_that_goes_bad_while_it_is_imported_stops_the_import(
    database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file, HEADER + BALL)
    check = Import._check

    async def then_spoil(*arguments: object) -> None:
        await check(*arguments)  # type: ignore[arg-type] # the arguments of the method
        put(file, HEADER + "BAD\n" + BALL)

    monkeypatch.setattr(Import, "_check", then_spoil)
    with pytest.raises(CsvError, match="changed while it was imported"):
        await Import(path=file, currency="USD").run(database)
    assert await fetch(database, PRODUCTS) == []


async def test_workers_show_what_an_import_changes_while_they_run(mercato: Mercato, shop: Shop, file: Path) -> None:
    def write(price: int) -> None:
        put(file, HEADER + "".join(f"S{number},Ball {number},,{price},,5,\n" for number in range(3_000)))

    write(1)
    mercato("import", "products.csv")
    request = ListProductsRequest(page_size=100)

    async def prices() -> set[int]:
        page = (await shop.catalog.ListProducts(request)).products
        single = await shop.catalog.GetProduct(GetProductRequest(product_id=page[-1].id))
        return {product.price.minor_units for product in (*page, single)}

    async def shown(price: int) -> bool:
        return await prices() == {price}

    await until(partial(shown, 1))
    write(2)
    assert mercato("import", "products.csv").stdout.startswith("0 created, 3000 updated")
    await until(partial(shown, 2))


GROUPED = "sku,name,price_minor,stock,group,group_name,options,position\n"
SHIRTS = (
    "S-RED,Shirt S red,1000,1,SHIRT,Shirt,Size=S;Colour=Red,1\n"
    "CUP,Cup,300,1,,,,\n"
    "J-S,Jumper S,2000,1,JUMPER,Jumper,Size=S,1\n"
    "M-RED,Shirt M red,900,1,SHIRT,Shirt,Size=M;Colour=Red,3\n"
    "J-M,Jumper M,2000,1,JUMPER,Jumper,Size=M,2\n"
    'S-ODD,Shirt S odd,1100,1,SHIRT,Shirt,"Size=S;Colour=a\\;b\\=c\\\\, d",2\n'
)
GROUPS = """
SELECT wanted.code, wanted.name, array_to_string(varies_by, ' '), min_price_minor, max_price_minor, variants,
       (SELECT sku FROM products WHERE group_id = wanted.id AND is_listed AND deleted_at IS NULL)
  FROM product_groups AS wanted
 ORDER BY code
"""
VARIANTS = "SELECT sku, options_text, position FROM products WHERE group_id IS NOT NULL ORDER BY group_id, position, id"
NEWS = "SELECT count(*) FROM events UNION ALL SELECT count(*) FROM audit_log UNION ALL SELECT sum(version) FROM products"


async def test_rows_of_a_group_may_be_apart_and_in_any_order(mercato: Mercato, database: str, file: Path) -> None:
    put(file, GROUPED + SHIRTS)
    done = mercato("import", "products.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "6 created, 0 updated, 0 unchanged, 0 bad rows skipped\n", "")
    assert await fetch(database, GROUPS) == [
        ("JUMPER", "Jumper", "Size", 2000, 2000, 2, "J-S"),
        ("SHIRT", "Shirt", "Size Colour", 900, 1100, 3, "M-RED"),
    ]
    assert sorted(await fetch(database, VARIANTS)) == sorted(
        [
            ("S-RED", "Size: S, Colour: Red", 1),
            ("S-ODD", "Size: S, Colour: a;b=c\\, d", 2),
            ("M-RED", "Size: M, Colour: Red", 3),
            ("J-S", "Size: S", 1),
            ("J-M", "Size: M", 2),
        ]
    )
    assert await fetch(database, "SELECT code, slug FROM product_groups ORDER BY code") == [("JUMPER", "jumper"), ("SHIRT", "shirt")]
    assert await sound(database)


@pytest.mark.parametrize("options", [[], ["--spreadsheet-safe"]])
async def test_an_export_of_groups_that_is_imported_again_changes_nothing_and_is_exported_alike(
    mercato: Mercato, database: str, file: Path, options: list[str]
) -> None:
    put(file, GROUPED + SHIRTS)
    assert mercato("import", "products.csv").returncode == 0
    first, news = mercato("export", *options).stdout, await fetch(database, NEWS)
    put(file, first)
    assert mercato("import", *options, "products.csv").stdout == "0 created, 0 updated, 6 unchanged, 0 bad rows skipped\n"
    assert await fetch(database, NEWS) == news
    assert mercato("export", *options).stdout == first


async def test_a_file_moves_swaps_and_renames_what_is_in_groups(mercato: Mercato, database: str, file: Path) -> None:
    put(file, GROUPED + SHIRTS)
    assert mercato("import", "products.csv").returncode == 0
    put(
        file,
        "sku,name,price_minor,group,group_name,options\n"
        "S-RED,Shirt S red,1000,SHIRT,Tee,colour=RED;size=M\n"
        "M-RED,Shirt M red,900,SHIRT,Tee,Size=S;Colour=Red\n"
        "J-S,Jumper S,100,SHIRT,Tee,Size=XL;Colour=Blue\n"
        "J-M,Jumper M,2000,,,\n"
        "CUP,Cup,300,JUMPER,,Size=XS\n",
    )
    assert mercato("import", "products.csv").stdout.startswith("0 created, 5 updated")
    assert await fetch(database, GROUPS) == [
        ("JUMPER", "Jumper", "Size", 300, 300, 1, "CUP"),
        ("SHIRT", "Tee", "Size Colour", 100, 1100, 4, "J-S"),
    ]
    texts = {sku: text for sku, text, _ in await fetch(database, VARIANTS)}
    assert (texts["S-RED"], texts["M-RED"], texts["J-S"]) == ("Size: M, Colour: RED", "Size: S, Colour: Red", "Size: XL, Colour: Blue")
    assert await sound(database)


async def test_a_file_without_columns_of_groups_leaves_them_and_renews_their_prices(mercato: Mercato, database: str, file: Path) -> None:
    put(file, GROUPED + SHIRTS)
    assert mercato("import", "products.csv").returncode == 0
    put(file, "sku,name,price_minor\nS-RED,Shirt S red,50\n")
    assert mercato("import", "products.csv").stdout.startswith("0 created, 1 updated")
    assert (await fetch(database, GROUPS))[1] == ("SHIRT", "Shirt", "Size Colour", 50, 1100, 3, "S-RED")
    assert await sound(database)


BAD_GROUPS = {
    3: ("A,A,1,1,SHIRT,Shirt,size=s;colour=red,", "options: are those of line 2, too"),
    4: ("B,B,1,1,SHIRT,Shirt,Size=L,", "options: must have the names of line 2"),
    5: ("C,C,1,1,SHIRT,Tee,Size=L;Colour=Red,", "group_name: is not that of line 2"),
    6: ("D,D,1,1,SHIRT,Shirt,,", "options: must be such as Size=M;Colour=Red with a group"),
    7: ("E,E,1,1,,,Size=L,", "options: must be such as Size=M;Colour=Red with a group, and empty without one"),
    8: ("F,F,1,1,SHIRT,Shirt,Size,", "options: must be such as"),
    9: ("G,G,1,1,SHIRT,Shirt,Size=L;Colour=Red,x", "position: must be a whole number"),
    10: (f"H,H,1,1,SHIRT,Shirt,Size={'x' * 101};Colour=Red,", "options[0].value: must have at most 100 characters"),
    11: (f"I,I,1,1,{'x' * 65},Shirt,Size=L,", "group: must have at most 64 characters"),
    12: ("J,J,1,1,OLD,,Fit=Slim,", "options: must be exactly those of the group OLD: Size"),
    13: ("K,K,1,1,OTHER,,Size= s,", "options: are those of the product OTHER-S"),
}


async def test_rows_that_do_not_fit_into_their_groups_are_named(mercato: Mercato, database: str, file: Path) -> None:
    put(file, GROUPED + "OLD-S,Old S,1,1,OLD,Old,Size=S,\nOTHER-S,Other S,1,1,OTHER,Other,Size=S,\n")
    assert mercato("import", "products.csv").returncode == 0
    put(file, GROUPED + SHIRTS.splitlines(keepends=True)[0] + "".join(f"{row}\n" for row, _ in BAD_GROUPS.values()))
    done = mercato("import", "products.csv")
    assert done.returncode == 1
    told = {int(line.split()[1].rstrip(":")): line for line in done.stderr.splitlines() if line.startswith("line ")}
    assert told.keys() == BAD_GROUPS.keys()
    for line, (_, reason) in BAD_GROUPS.items():
        assert reason in told[line]
    assert [row[0] for row in await fetch(database, GROUPS)] == ["OLD", "OTHER"]
    done = mercato("import", "--on-error", "skip", "products.csv")
    assert done.stdout == f"1 created, 0 updated, 0 unchanged, {len(BAD_GROUPS)} bad rows skipped\n"
    assert await sound(database)


async def test_a_group_of_too_many_rows_is_refused(mercato: Mercato, database: str, file: Path) -> None:
    row = "S{0},S{0},1,1,SHIRT,,Size={0},\n"
    put(file, GROUPED + "".join(row.format(number) for number in range(10_000)))
    done = mercato("import", "products.csv")
    assert done.returncode == 1
    assert "line 202 (S200): group: has more than 200 rows" in done.stderr
    put(file, GROUPED + "".join(row.format(number) for number in range(200)))
    assert mercato("import", "products.csv").returncode == 0
    put(file, GROUPED + row.format(200))
    done = mercato("import", "products.csv")
    assert "group: SHIRT would have more than 200 variants on sale" in done.stderr
    assert await sound(database)


def test_columns_of_groups_come_together(mercato: Mercato, file: Path) -> None:
    put(file, "sku,name,price_minor,group\nA,A,1,X\n")
    done = mercato("import", "products.csv")
    assert done.returncode == 1
    assert "columns of a group need both group and options" in done.stderr
