"""`mercato categories import` and `mercato categories export`, as an operator runs them at a terminal."""

from pathlib import Path
from uuid import UUID

import pytest

from mercato_server.cli.catalog_import import BadRowsError
from mercato_server.cli.category_files import import_file
from mercato_server.database.pool import small_pool
from mercato_server.domain.accounts import COMMAND_LINE
from mercato_server.domain.catalog import ProductDraft
from mercato_server.store import catalog
from support.commands import Mercato, fetch, put, sound

FILE = """slug,name,parent,position,description
balls,Balls,sports,2,"Round, mostly"
sports,Sports,,0,
old-balls,Old Balls,Balls,,
"""
"""The parent of the first line follows it; that of the last is a name."""
TREE = """
SELECT c.slug, c.name, p.slug AS parent, c.position, c.about, cardinality(c.ancestors) AS depth
  FROM categories c LEFT JOIN categories p ON p.id = c.parent_id
 ORDER BY c.slug
"""
STORED = [
    ("balls", "Balls", "sports", 2, "Round, mostly", 1),
    ("old-balls", "Old Balls", "balls", 0, "", 2),
    ("sports", "Sports", None, 0, "", 0),
]
EVENTS = "SELECT kind FROM events WHERE kind LIKE 'category%' ORDER BY id"
LOG = "SELECT action, after FROM audit_log WHERE action LIKE 'categor%' ORDER BY id"


async def test_a_file_is_imported_once_and_the_same_file_changes_nothing(mercato: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    done = mercato("categories", "import", "products.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 created, 0 updated, 0 unchanged\n", "")
    assert await fetch(database, TREE) == STORED
    rows = await fetch(database, "SELECT xmin::text, id FROM categories ORDER BY id")
    assert mercato("categories", "import", "products.csv").stdout == "0 created, 0 updated, 3 unchanged\n"
    assert await fetch(database, "SELECT xmin::text, id FROM categories ORDER BY id") == rows
    assert await fetch(database, EVENTS) == [("category.created",)] * 3
    assert await fetch(database, LOG) == [("categories.imported", '{"source": "products.csv", "created": 3, "updated": 0}')]
    assert await sound(database)


@pytest.mark.parametrize("option", [[], ["--spreadsheet-safe"]])
async def test_an_export_that_is_imported_gives_the_same_bytes_and_no_event(
    mercato: Mercato, database: str, file: Path, option: list[str]
) -> None:
    put(file, FILE + "plus,+1 Games,old-balls,,'quoted'\n")
    mercato("categories", "import", "products.csv")
    exported = mercato("categories", "export", *option).stdout
    events = await fetch(database, "SELECT count(*) FROM events")
    put(file, exported)
    assert mercato("categories", "import", "products.csv", *option).stdout == "0 created, 0 updated, 4 unchanged\n"
    assert mercato("categories", "export", *option).stdout == exported
    assert await fetch(database, "SELECT count(*) FROM events") == events
    await fetch(database, "DELETE FROM categories")
    await fetch(database, "DELETE FROM slugs")
    assert mercato("categories", "import", "products.csv", *option).stdout == "4 created, 0 updated, 0 unchanged\n"
    again = mercato("categories", "export", *option).stdout
    assert sorted(again.splitlines()) == sorted(exported.splitlines())


async def test_a_file_moves_subtrees_with_their_products_and_renames_by_slug(mercato: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    mercato("categories", "import", "products.csv")
    category_id = UUID(str((await fetch(database, "SELECT id FROM categories WHERE slug = 'old-balls'"))[0][0]))
    async with small_pool(database) as pool:
        await catalog.create(pool, ProductDraft(name="Relic", price_minor=1, category_id=category_id), COMMAND_LINE)
    listed = "SELECT slug FROM category_listings JOIN categories ON categories.id = category_id ORDER BY slug"
    assert await fetch(database, listed) == [("balls",), ("sports",)]
    put(file, "slug,name,parent\ngarden,Garden,\nballs,Spheres,garden\n")
    assert mercato("categories", "import", "products.csv").stdout == "1 created, 1 updated, 0 unchanged\n"
    assert await fetch(database, listed) == [("balls",), ("garden",)]
    moved = [("balls", "Spheres", "garden", 2, "Round, mostly", 1), ("garden", "Garden", None, 0, "", 0), *STORED[1:]]
    assert await fetch(database, TREE) == moved
    kinds = [row[0] for row in await fetch(database, EVENTS)][3:]
    assert kinds == ["category.created", "category.updated", "category.moved", "category.moved"]
    assert await sound(database)


async def test_categories_exchange_their_names_and_hand_them_on(mercato: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    mercato("categories", "import", "products.csv")
    put(file, "slug,name\nballs,Sports\nsports,Balls\n")
    done = mercato("categories", "import", "products.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 created, 2 updated, 0 unchanged\n", "")
    put(file, "slug,name\nballs,Old Balls\nold-balls,Balls\nsports,Games\n")
    assert mercato("categories", "import", "products.csv").stdout == "0 created, 3 updated, 0 unchanged\n"
    names = await fetch(database, "SELECT slug, name FROM categories ORDER BY slug")
    assert names == [("balls", "Old Balls"), ("old-balls", "Balls"), ("sports", "Games")]
    assert await sound(database)


async def test_a_name_without_a_slug_is_the_category_of_that_name_and_may_get_another_slug(
    mercato: Mercato, database: str, file: Path
) -> None:
    put(file, "name\nSports\nBälle\n")
    assert mercato("categories", "import", "products.csv").stdout == "2 created, 0 updated, 0 unchanged\n"
    put(file, "name,slug\nBälle,spheres\nSports,\n")
    assert mercato("categories", "import", "products.csv").stdout == "0 created, 1 updated, 1 unchanged\n"
    slugs = await fetch(database, "SELECT slug, is_live FROM slugs ORDER BY slug")
    assert slugs == [("balle", False), ("spheres", True), ("sports", True)]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ("a,A,b\nb,B,a\n", "line 2: parent: the category would be below itself"),
        ("sports,Sports,old-balls\n", "line 2: parent: the category would be below itself"),
        ("a,A,nowhere\n", "line 2: parent: neither the file nor the shop has a category nowhere"),
        ("a,A,\na,B,\n", "line 3: is the category of line 2, too"),
        ("a,Sports,\nsports,Other,\n", "line 3: is the category of line 2, too"),
        ("balls,Sports,\n", "line 2: name: another category has the name Sports"),
        ("A b,Hats,\n", "line 2: slug: must be 1 to 80 small letters"),
        ("a,,\n", "line 2: name: must not be empty"),
        ("a,A\n", "line 2: has 2 cells, not 3"),
        ("".join(f"l{n},Level {n},{'l' + str(n - 1) if n else 'old-balls'}\n" for n in range(6)), "line 7: parent: the tree has at most 8"),
    ],
)
async def test_a_bad_line_makes_the_import_change_nothing(
    database: str, file: Path, capsys: pytest.CaptureFixture[str], rows: str, line: str
) -> None:
    put(file, FILE)
    await import_file(file, database, spreadsheet_safe=False)
    put(file, "slug,name,parent\n" + rows)
    with pytest.raises(BadRowsError, match="nothing was imported"):
        await import_file(file, database, spreadsheet_safe=False)
    assert line in capsys.readouterr().err
    assert await fetch(database, TREE) == STORED


def test_a_header_without_names_is_refused(mercato: Mercato, file: Path) -> None:
    put(file, "slug,parent\n")
    assert mercato("categories", "import", "products.csv").stderr.startswith("mercato: the first line must name columns")
