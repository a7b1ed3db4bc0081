"""`mercato import` and `mercato export` of redirects, as an operator runs them at a terminal."""

import csv
import io
from pathlib import Path
from uuid import UUID

import pytest

from mercato_server.cli.catalog_import import Import
from mercato_server.cli.category_files import import_file
from mercato_server.cli.redirects_csv import RedirectImport
from mercato_server.database.pool import small_pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.store import catalog
from support.commands import Mercato, fetch, put, sound

PRODUCTS = """sku,name,price_minor,slug,group,options
BALL,Ball,1,ball,,
CUP,Cup,1,cup,,
SHIRT-S,Shirt S,1,shirt-s,SHIRT,Size=S
"""
CATEGORIES = "name,slug\nHats,hats\nCaps,caps\n"
FILE = """Redirect from,Redirect to
/products/old-ball,/products/older-ball
/products/older-ball,/products/ball
/products/tee,/products/shirt
/collections/headwear,/collections/hats
/product-category/all/bonnets/,/product-category/hats/
/pages/about,/products/ball
/products/ball,/products/cup
/products/x,https://elsewhere.example.com/products/ball
/products/gone,/products/absent
/products/Ball,/products/ball
/products/p,/products/q
/products/q,/products/p
one cell
"""
KEPT = [
    ("category", "bonnets", "hats"),
    ("category", "headwear", "hats"),
    ("group", "tee", "shirt"),
    ("product", "old-ball", "ball"),
    ("product", "older-ball", "ball"),
]
LEFT_OUT = [
    "line 7: redirect from: is no address of a product, group or category",
    "line 9: redirect to: is an address of another host",
    "line 11: redirect from: ends in 'Ball', which is no slug",
    "line 14: has 1 cells, not 2",
    "line 8: ball is the slug of a thing that the shop has",
    "line 10: leads to absent, and the shop has no such thing",
    "line 12: leads in a ring",
    "line 13: leads in a ring",
]
EARLIER = """
SELECT earlier.kind, earlier.slug, present.slug AS leads_to
  FROM slugs AS earlier
  JOIN slugs AS present ON present.subject_id = earlier.subject_id AND present.is_live
 WHERE NOT earlier.is_live
 ORDER BY 1, 2
"""
EVERYTHING = "SELECT kind, slug, subject_id::text, is_live, given_at::text, xmin::text FROM slugs ORDER BY 1, 2"
LOG = "SELECT after FROM audit_log WHERE action = 'redirects.imported' ORDER BY id"


@pytest.fixture
async def shop(mercato: Mercato, database: str, file: Path, tmp_path: Path) -> Mercato:
    """A shop of some goods and categories."""
    put(tmp_path / "tree.csv", CATEGORIES)
    await import_file(tmp_path / "tree.csv", database, spreadsheet_safe=False)
    put(file, PRODUCTS)
    await Import(path=file, currency="USD").run(database)
    return mercato


async def imported(database: str, file: Path, text: str) -> str:
    """Import redirects; return the numbers of the report."""
    put(file, text)
    told: list[str] = []
    (await RedirectImport(path=file).run(database)).show(told.append)
    return told[-1]


async def test_redirects_become_earlier_slugs_and_those_that_cannot_are_told_by_line(shop: Mercato, database: str, file: Path) -> None:
    put(file, "\ufeff" + FILE)
    done = shop("import", "products.csv", "--errors", "errors.csv")
    assert (done.returncode, done.stderr) == (3, "")
    told = done.stdout.splitlines()
    assert told[told.index("left out as bad:") + 1 : -1] == [f"  {line}" for line in LEFT_OUT]
    assert told[-1] == "5 created, 0 updated, 0 unchanged, 8 left out as bad"
    assert await fetch(database, EARLIER) == KEPT
    assert await fetch(database, LOG) == [('{"source": "products.csv, lines 2 to 6", "created": 5, "updated": 0}',)]
    errors = list(csv.reader(io.StringIO((file.parent / "errors.csv").read_text(encoding="utf-8"))))
    assert len(errors) == 1 + len(LEFT_OUT)
    assert await sound(database)


async def test_the_same_file_and_the_export_change_nothing(shop: Mercato, database: str, file: Path, tmp_path: Path) -> None:
    put(file, FILE)
    shop("import", "products.csv")
    before = await fetch(database, EVERYTHING)
    assert shop("import", "products.csv").stdout.splitlines()[-1] == "0 created, 0 updated, 5 unchanged, 8 left out as bad"
    exported = shop("export", "redirects", "first.csv")
    assert (exported.returncode, exported.stderr) == (0, "5 redirects\n")
    lines = [f"/v1/slugs/{kind}/{old},/v1/slugs/{kind}/{new}" for kind, old, new in KEPT]
    assert (tmp_path / "first.csv").read_text() == "\n".join(["Redirect from,Redirect to", *lines, ""])
    again = shop("import", "first.csv")
    assert (again.returncode, again.stdout) == (0, "0 created, 0 updated, 5 unchanged, 0 left out as bad\n")
    assert await fetch(database, EVERYTHING) == before
    assert len(await fetch(database, LOG)) == 1
    await fetch(database, "DELETE FROM slugs WHERE NOT is_live")
    assert shop("import", "first.csv").returncode == 0
    assert shop("export", "redirects").stdout == (tmp_path / "first.csv").read_text()


async def test_a_later_file_leads_an_address_to_another_thing(shop: Mercato, database: str, file: Path) -> None:
    await imported(database, file, FILE)
    told = await imported(database, file, "Redirect To,Redirect From\n/products/cup,/products/old-ball\n")
    assert told == "0 created, 1 updated, 0 unchanged, 0 left out as bad"
    assert ("product", "old-ball", "cup") in await fetch(database, EARLIER)


async def test_a_bad_line_refuses_the_file_where_the_operator_says_so(shop: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    done = shop("import", "products.csv", "--on-error", "refuse")
    assert done.returncode == 1
    assert "8 lines of products.csv are bad, so nothing was imported" in done.stderr
    assert await fetch(database, EARLIER) == []


async def test_the_slug_of_a_deleted_product_may_lead_to_another_one(shop: Mercato, database: str, file: Path) -> None:
    [(cup,)] = await fetch(database, "SELECT id FROM products WHERE sku = 'CUP'")
    async with small_pool(database) as pool:
        await catalog.delete(pool, UUID(str(cup)), (), COMMAND_LINE)
    told = await imported(database, file, "Redirect from,Redirect to\n/products/cup,/products/ball\n")
    assert told == "0 created, 1 updated, 0 unchanged, 0 left out as bad"
    assert await fetch(database, EARLIER) == [("product", "cup", "ball")]
    assert await fetch(database, "SELECT slug FROM products WHERE sku = 'CUP'") == [(None,)]
    assert await sound(database)


async def test_a_thing_keeps_20_earlier_slugs_and_a_rename_does_not_lose_the_last_one(shop: Mercato, database: str, file: Path) -> None:
    text = "Redirect from,Redirect to\n" + "".join(f"/products/b-{number:02},/products/ball\n" for number in range(25))
    assert await imported(database, file, text) == "20 created, 0 updated, 0 unchanged, 5 left out as bad"
    before = await fetch(database, EVERYTHING)
    assert await imported(database, file, text) == "0 created, 0 updated, 20 unchanged, 5 left out as bad"
    assert await fetch(database, EVERYTHING) == before
    put(file, "sku,name,price_minor,slug\nBALL,Ball,1,new-ball\n")
    await Import(path=file, currency="USD").run(database)
    earlier = await fetch(database, EARLIER)
    assert len(earlier) == 20
    assert ("product", "ball", "new-ball") in earlier


async def test_redirects_of_the_shops_own_address_are_taken(
    shop: Mercato, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Redirect from,Redirect to\nhttps://shop.example.com/products/a,https://shop.example.com/products/ball\n"
    assert await imported(database, file, text) == "0 created, 0 updated, 0 unchanged, 1 left out as bad"
    monkeypatch.setenv("MERCATO_PUBLIC_URL", "https://shop.example.com/en")
    assert shop("import", "products.csv").returncode == 0
    assert await fetch(database, EARLIER) == [("product", "a", "ball")]
