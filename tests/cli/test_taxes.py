"""`mercato taxes import` and `mercato taxes export`, as an operator runs them at a terminal."""

import asyncio
import csv
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from mercato_server.cli.catalog_import import BadRowsError
from mercato_server.cli.tax_files import import_file
from support.commands import Mercato, fetch, put
from support.patience import until

HEADER = "country_code,region,tax_category,name,percent,valid_from,valid_until,parts\n"
GERMAN = "DE,,,VAT 19%,19,2021-01-01T00:00:00+01:00,,\n"
BOOKS = "DE,,books,VAT 7%,7.00,,,\n"
CALIFORNIAN = 'US,CA,,Sales tax,7.25,,,"State=6;County, and ""City""=1.25"\n'
FILE = HEADER + GERMAN + "\n" + BOOKS + CALIFORNIAN
RATES = """
SELECT country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid::text, version
  FROM tax_rates
 WHERE archived_at IS NULL
 ORDER BY country_code, tax_category, valid
"""
STORED = [
    ("DE", "", "", "VAT 19%", 190_000, [], [], '["2020-12-31 23:00:00+00",)', 1),
    ("DE", "", "books", "VAT 7%", 70_000, [], [], "(,)", 1),
    ("US", "CA", "", "Sales tax", 72_500, ["State", 'County, and "City"'], [60_000, 12_500], "(,)", 1),
]
VERSION = "SELECT version FROM price_rules"
LOG = "SELECT action, actor_kind, subject_id, after FROM audit_log ORDER BY id"


@pytest.fixture(autouse=True)
async def _categories(database: str) -> None:
    await fetch(
        database, "INSERT INTO tax_categories (id, display_name, archived_at) VALUES ('books', 'Books', NULL), ('gone', 'Gone', now())"
    )


async def test_a_file_is_imported_once_and_the_same_file_changes_nothing(mercato: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    done = mercato("taxes", "import", "products.csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 created, 0 updated, 0 unchanged\n", "")
    assert await fetch(database, RATES) == STORED
    before = await fetch(database, "SELECT xmin::text, id FROM tax_rates ORDER BY id")
    assert mercato("taxes", "import", "products.csv").stdout == "0 created, 0 updated, 3 unchanged\n"
    assert await fetch(database, "SELECT xmin::text, id FROM tax_rates ORDER BY id") == before
    assert await fetch(database, VERSION) == [(1,)]
    assert await fetch(database, LOG) == [("tax_rates.imported", "system", None, '{"source": "products.csv", "created": 3, "updated": 0}')]


async def test_a_file_ends_a_rate_and_begins_the_next(mercato: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    mercato("taxes", "import", "products.csv")
    ended = GERMAN.replace(",,\n", ",2027-01-01T00:00:00+01:00,\n")
    put(file, HEADER + "DE,,,VAT 20%,20,2026-12-31T23:00:00Z,,\n" + ended)
    assert mercato("taxes", "import", "products.csv").stdout == "1 created, 1 updated, 0 unchanged\n"
    old, new, *others = await fetch(database, RATES)
    assert old == (*STORED[0][:7], '["2020-12-31 23:00:00+00","2026-12-31 23:00:00+00")', 2)
    assert new == ("DE", "", "", "VAT 20%", 200_000, [], [], '["2026-12-31 23:00:00+00",)', 1)
    assert others == STORED[1:]
    assert await fetch(database, VERSION) == [(2,)]


async def test_parts_per_million_are_taken_too_and_columns_may_be_left_out(mercato: Mercato, database: str, file: Path) -> None:
    put(file, "RATE_PPM,name,country_code,parts\n190000,VAT,DE, A = 180000 ;B=10000;\n0,Zero,FR,\n")
    assert mercato("taxes", "import", "products.csv").returncode == 0
    rows = [("DE", "", "", "VAT", 190_000, ["A", "B"], [180_000, 10_000], "(,)", 1), ("FR", "", "", "Zero", 0, [], [], "(,)", 1)]
    assert await fetch(database, RATES) == rows
    put(file, "rate_ppm,name,country_code\n190000,MwSt,DE\n")
    mercato("taxes", "import", "products.csv")
    assert await fetch(database, RATES) == [("DE", "", "", "MwSt", *rows[0][4:8], 2), rows[1]]


BAD = {
    3: ("XX,,,VAT,19,,,", "country_code: must be the code of a country"),
    4: ("DE,,,,19,,,", "name: must not be empty"),
    5: ("DE,1,,VAT,120,,,", "percent: must be a percentage from 0 to 100 with at most four decimals, such as 7.25"),
    6: ("DE,2,,VAT,-1,,,", "percent: must be a percentage"),
    7: ('DE,3,,VAT,"7,25",,,', "percent: must be a percentage"),
    8: ("DE,4,,VAT,7.00001,,,", "percent: must be a percentage"),
    9: ("DE,5,,VAT,19,2026-01-01T00:00:00,,", "valid_from: must be a time with an offset from 1900-01-01T00:00:00+00:00 to"),
    10: ("DE,6,,VAT,19,,yesterday,", "valid_until: must be a time with an offset"),
    11: ("DE,7,,VAT,19,1066-10-14T00:00:00Z,,", "valid_from: must be a time with an offset"),
    12: ("DE,8,,VAT,19,2026-02-01T00:00:00Z,2026-01-01T00:00:00Z,", "valid_until: must be after valid_from"),
    13: ("DE,9,,VAT,19,,,State=6;City=12", "parts: must sum up to 190000, the rate"),
    14: (
        "DE,10,,VAT,19,,,State",
        "parts[0]: must be a percentage from 0 to 100 with at most four decimals, such as 7.25; parts[0].name: must not be empty",
    ),
    15: ("DE,11,as goods,VAT,19,,,", "tax_category: must be a lower-case letter"),
    16: ("DE,12,,VAT,19,,,,", "has 9 cells, not 8"),
    17: ("DE,,,VAT 19%,19,2020-12-31T23:00:00Z,,", "is the rate of line 2, too: country, region, category and valid_from are the same"),
    18: (f"DE,{'x' * 61},,VAT,19,,,", "region: must have at most 60 characters"),
    19: ('DE,13,,"VAT"x,19,,,', "is not CSV"),
}


async def test_bad_lines_are_named_with_their_reasons_and_nothing_is_imported(mercato: Mercato, database: str, file: Path) -> None:
    put(file, HEADER + GERMAN + "".join(row + "\n" for row, _ in BAD.values()) + CALIFORNIAN)
    done = mercato("taxes", "import", "products.csv")
    assert (done.returncode, done.stdout) == (1, "")
    *said, last = done.stderr.splitlines()
    assert len(said) == len(BAD)
    for (line, (_, reason)), told in zip(BAD.items(), said, strict=True):
        assert told.startswith(f"line {line}: {reason}"), told
    assert last == "mercato: lines of products.csv are bad, so nothing was imported"
    assert await fetch(database, RATES) == await fetch(database, LOG) == []


async def test_lines_that_do_not_fit_the_shop_are_named_and_nothing_is_imported(mercato: Mercato, database: str, file: Path) -> None:
    put(file, FILE)
    mercato("taxes", "import", "products.csv")
    [(rate_id,)] = await fetch(database, "SELECT id FROM tax_rates WHERE region = 'CA'")
    put(
        file,
        HEADER
        + GERMAN.replace(",19,", ",20,")
        + "US,CA,,Sales tax,8,2027-01-01T00:00:00Z,,\n"
        + "FR,,gone,VAT,5,,,\n"
        + "FR,,absent,VAT,5,,,\n"
        + "IT,,,VAT,5,,,\n"
        + "IT,,,VAT,5,2027-01-01T00:00:00Z,,\n"
        + "AT,,,VAT 20%,20,,,\n",
    )
    done = mercato("taxes", "import", "products.csv")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "line 2: the rate that begins then has 190000 ppm, which cannot be changed; end it and add another line",
        f"line 3: overlaps the rate {rate_id}",
        "line 4: tax_category: gone is archived",
        "line 5: tax_category: absent does not exist",
        "line 7: overlaps that of line 6",
        "mercato: lines of products.csv are bad, so nothing was imported",
    ]
    assert await fetch(database, RATES) == STORED
    assert await fetch(database, VERSION) == [(1,)]


async def test_the_first_bad_lines_are_shown_and_the_others_counted(mercato: Mercato, file: Path) -> None:
    put(file, HEADER + "XX,,,VAT,19,,,\n" * 30)
    *said, more, _ = mercato("taxes", "import", "products.csv").stderr.splitlines()
    assert (len(said), more) == (20, "and 10 more")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "country_code,name\n",
        "country_code,name,percent,rate_ppm\n",
        "country_code,percent\n",
        "country_code,name,percent,colour\n",
        "country_code,name,percent,name\n",
        'country_code,"name,percent\n',
        "\xff\n",
    ],
)
def test_a_file_with_other_columns_is_refused(mercato: Mercato, file: Path, header: str) -> None:
    put(file, (header + "1,2,3\n").encode("latin-1"))
    done = mercato("taxes", "import", "products.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "mercato: the first line must name columns, separated by commas: country_code, name, percent or rate_ppm, and"
    )


async def test_more_rates_than_a_shop_may_have_are_refused(mercato: Mercato, database: str, file: Path) -> None:
    put(file, HEADER + "".join(f"US,{number},,tax,1,,,\n" for number in range(5_001)))
    assert mercato("taxes", "import", "products.csv").stderr == "mercato: products.csv has more than 5000 lines\n"
    put(file, HEADER + "".join(f"US,{number},,tax,1,,,\n" for number in range(5_000)))
    assert mercato("taxes", "import", "products.csv").stdout == "5000 created, 0 updated, 0 unchanged\n"
    put(file, HEADER + GERMAN)
    assert mercato("taxes", "import", "products.csv").stderr.startswith("mercato: a shop may have 5000 tax rates")
    assert await fetch(database, "SELECT count(*) FROM tax_rates") == [(5_000,)]


ODD_RATES = """
INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid, archived_at)
VALUES ('FR', '=1+1', '', '-1', 1, '{"@SUM(1)=", "''", "ü"}', '{0, 1, 0}', '["2026-01-01T00:00:00.000001Z", "2026-06-01T00:00:00Z")', NULL),
       ('FR', '', 'gone', '+1', 1000000, '{}', '{}', '(,"2026-06-01T00:00:00Z")', NULL),
       ('GB', '', '', 'old', 1, '{}', '{}', '(,)', now())
"""
"""Texts that a spreadsheet would run, shares of a millionth, a microsecond, and an archived rate."""


@pytest.mark.parametrize("option", [(), ("--spreadsheet-safe",)])
async def test_an_export_comes_back_exactly(mercato: Mercato, database: str, file: Path, option: tuple[str, ...]) -> None:
    put(file, FILE)
    mercato("taxes", "import", "products.csv")
    await fetch(database, ODD_RATES)
    await fetch(database, "UPDATE tax_categories SET archived_at = NULL")
    done = mercato("taxes", "export", "out.csv", *option)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "5 tax rates\n")
    exported = file.with_name("out.csv").read_bytes()
    if option:
        rows = list(csv.reader(exported.decode().splitlines()))
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    else:
        assert exported.decode().splitlines()[1] == "DE,,,VAT 19%,19,2020-12-31T23:00:00+00:00,,"
    assert mercato("taxes", "export", *option).stdout.encode() == exported
    before = await fetch(database, "SELECT xmin::text, id FROM tax_rates ORDER BY id")
    assert mercato("taxes", "import", "out.csv", *option).stdout == "0 created, 0 updated, 5 unchanged\n"
    assert await fetch(database, "SELECT xmin::text, id FROM tax_rates ORDER BY id") == before
    rates = await fetch(database, RATES)
    await fetch(database, "UPDATE tax_rates SET archived_at = now()")
    assert mercato("taxes", "import", "out.csv", *option).stdout == "5 created, 0 updated, 0 unchanged\n"
    assert await fetch(database, RATES) == rates


async def test_an_export_writes_through_no_link(mercato: Mercato, file: Path) -> None:
    file.with_name("precious").write_text("kept")
    file.with_name("out.csv.unfinished").symlink_to(file.with_name("precious"))
    assert mercato("taxes", "export", "out.csv").returncode == 0
    assert file.with_name("precious").read_text() == "kept"


def test_a_missing_file_is_reported_without_a_stack_trace(mercato: Mercato) -> None:
    done = mercato("taxes", "import", "nowhere.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("mercato: ")
    assert done.stderr.count("\n") == 1


async def test_an_import_waits_for_a_change_under_way_and_sees_it(database: str, file: Path) -> None:
    put(file, HEADER + GERMAN)
    connection = await asyncpg.connect(database)
    await connection.execute("BEGIN; UPDATE price_rules SET version = version + 1")
    await connection.execute(
        "INSERT INTO tax_rates (country_code, region, tax_category, name, rate_ppm, part_names, part_ppms, valid)"
        " VALUES ('DE', '', '', 'VAT', 1, '{}', '{}', '(,)')"
    )
    importing = asyncio.ensure_future(import_file(file, database, spreadsheet_safe=False))
    await until(partial(fetch, database, "SELECT FROM pg_locks WHERE NOT granted"))
    await connection.execute("COMMIT")
    await connection.close()
    with pytest.raises(BadRowsError):
        await importing
    assert len(await fetch(database, RATES)) == 1
