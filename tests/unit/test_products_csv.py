"""Product CSV files: what is a row, what is a bad one, and which lines it took."""

import os
from pathlib import Path

import pytest

from mercato_server.cli.products_csv import BadRow, CsvError, Row, read
from mercato_server.config.settings import ImportLimits

HEADER = "sku,name,description,price_minor,category,stock,image_urls\n"
NAMES_COLUMNS = "the first line must name columns, separated by commas: sku, name, price_minor"


def rows(directory: Path, content: str) -> list[Row | BadRow]:
    file = directory / "products.csv"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    return list(read(file, ImportLimits(), lambda _: None))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sku,name\n",
        "sku,name,price\n",
        "sku,name,price_minor,colour\n",
        "sku,sku,name,price_minor\n",
        "sku,name,price_minor,\n",
        "sku,name,price_minor,,\n",
        ",sku,name,price_minor\n",
        "sku;name;price_minor\n",
        "sku\tname\tprice_minor\n",
        "\udcff\udcfes\0k\0u\0,\0\n",
        f"{'x' * 131_000},sku,name,price_minor\n",
    ],
)
def test_a_header_with_other_columns_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(CsvError, match=NAMES_COLUMNS) as caught:
        rows(tmp_path, header + "1,2,3\n")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("sku,name,price_minor\r1,2,3\r4,5,6\r", "the first line is not CSV: "),
        (f"sku,name,price_minor,{'x' * 132_000}\n1,2,3\n", "the first line is not CSV: "),
        (f"sku,name,price_minor,{'x' * (2 << 20)}\n1,2,3\n", "the first line has more than 1048576 bytes"),
        ('sku,"name,price_minor\n1,2,3\n', "the first line is not CSV: a quotation mark is not closed; lines 1 to 2 were read as one row"),
        ('sku,na"me,price_minor\n1,2,3\n', "the first line is not CSV: "),
    ],
)
def test_a_header_that_is_no_csv_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(CsvError) as caught:
        rows(tmp_path, content)
    assert str(caught.value).startswith(reason)
    assert len(str(caught.value)) < 600


def test_a_file_that_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(CsvError, match="must be a regular file"):
            list(read(path, ImportLimits(), lambda _: None))


GOOD = "G{0},Good {0},,{0},Football,1,\n"
STRAY = {
    "a cell that is opened and never closed": ('S1,"Ball,,1999,Football,10,\n', 3, 12),
    "a cell that the next quoted cell closes": ('S1,"Ball,,1999,Football,10,\nS2,"Bike, red",,500,,3,\n', 3, 4),
    "a cell that an inch sign closes": ('S1,"Ball,,1999,Football,10,\nS2,6" pipe,,500,,3,\n', 3, 4),
    "a name that the end of another name closes": ('S1,"Ball,,1999,Football,10,\nS2,Pipe 6",,500,,3,\n', 3, 4),
    "an SKU that another SKU closes": ('"S1,Ball,,1999,Football,10,\nS2",Bike,,500,,3,\n', 3, 4),
    "a description that another one closes": ('S1,Ball,"Round,1999,Football,10,\nS2,Pipe,of 6",500,,3,\n', 3, 4),
    "a description that a third one closes": ('S1,Ball,"Round,1999,,10,\nS2,Pipe,x,5,,3,\nS3,Pipe,of 6",500,,3,\n', 3, 5),
    "a description that is closed behind a blank line": ('S1,Ball,"Round,1999,,10,\n\nS2,Pipe,of 6",500,,3,\n', 3, 5),
    "a description that is closed behind a bad row": ('S1,Ball,"Round,1999,,10,\nS2,Bike\nS3,Pipe,of 6",500,,3,\n', 3, 5),
    "a row with a quoted comma before the mark": ('S1,"Ball, red","Round,1999,,10,\nS2,Pipe,of 6",500,,3,\n', 3, 4),
    "a row with a quoted comma behind the mark": ('S1,Ball,"Round,1999,,10,\nS2,Pipe,of 6",500,"Balls, all",3,\n', 3, 4),
    "rows with quoted cells": ('"S1","Ball","Round,1999,,10,\n"S2","Pipe",of 6","500",,3,\n', 3, 4),
    "an inch sign alone": ('S1,6" pipe,,1999,,10,\n', 3, 3),
    "text behind a quoted cell": ('S1,"Ball"x,,1999,,10,\n', 3, 3),
    "a blank before a quoted cell": ('S1, "Ball, red",,1999,,10,\n', 3, 3),
    "a quotation mark that is not doubled": ('S1,Ball,"a "red" one",1999,,10,\n', 3, 3),
    "a carriage return in a cell that is not quoted": ("S1,Ba\rll,,1999,,10,\n", 3, 3),
}


@pytest.mark.parametrize(("stray", "first", "last"), STRAY.values(), ids=STRAY)
def test_a_stray_quotation_mark_makes_a_bad_row_that_names_its_lines(tmp_path: Path, stray: str, first: int, last: int) -> None:
    content = HEADER + GOOD.format(1) + stray + "".join(map(GOOD.format, range(2, 12 - stray.count("\n"))))
    found = rows(tmp_path, content)
    [bad] = [row for row in found if isinstance(row, BadRow)]
    assert bad.line == first
    assert (f"lines {first} to {last} were read as one row" in bad.reason) == (last > first)
    taken = [line.split(",")[0] for number, line in enumerate(content.split("\n")[:-1], 1) if number > 1 and not first <= number <= last]
    assert [row.product.sku for row in found if isinstance(row, Row)] == taken


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_description_may_have_lines_with_commas_and_quotation_marks(tmp_path: Path, end: str) -> None:
    texts = ["Round, and\nred, or, blue", 'a ""red"" one,\n\n,,,,,\nend', "1,2,3,4,5,6,7\n1,2,3,4,5,6,7", "S,Ball,,1,,,", "a\r\nb\rc"]
    found = rows(tmp_path, HEADER + "".join(f'S{number},Ball,"{text}",5,,1,{end}' for number, text in enumerate(texts)).removesuffix(end))
    assert [row.product.description for row in found if isinstance(row, Row)] == [text.replace('""', '"') for text in texts]


def test_a_line_that_is_too_long_is_a_bad_row_and_the_next_one_is_read(tmp_path: Path) -> None:
    found = rows(tmp_path, f"{HEADER}{GOOD.format(1)}S,{'x' * (3 << 20)}\n{GOOD.format(2)}")
    assert [row.line for row in found] == [2, 3, 4]
    assert [row.reason for row in found if isinstance(row, BadRow)] == ["has more than 1048576 bytes"]
