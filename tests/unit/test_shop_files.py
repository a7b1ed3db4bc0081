"""Product files of other shops: which are known by their header, and how their rows become products."""

from pathlib import Path

import pytest

from mercato_server.cli.moving_in import recognised
from mercato_server.cli.products_csv import CsvError
from mercato_server.cli.shop_files import Remark, Weight, spooled
from mercato_server.config.settings import ImportLimits
from mercato_server.domain.moved_goods import MovedProduct


def put(directory: Path, content: str) -> Path:
    file = directory / "products.csv"
    file.write_bytes(content.encode())
    return file


def products(file: Path, **limits: int) -> tuple[list[MovedProduct], list[Remark]]:
    told: list[Remark] = []
    head = recognised(file)
    assert head
    with spooled(file, head, ImportLimits(**limits), lambda _: None, told.append) as spool:
        return list(spool.products("EUR", told.append)), told


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Handle,Title,Body (HTML)", "Shopify"),
        (" HANDLE ,title,Variant Price", "Shopify"),
        ("Title,URL handle,Price", "Shopify"),
        ("ID,Type,Name,Regular price", "WooCommerce"),
        ("Type,SKU,Name,Regular price", "WooCommerce"),
        ("sku,name,price_minor", None),
        ("Handle,Title", None),
        ("Handle,Name,Variant Price", None),
        ("ID,Type,Name", None),
        ("ID;Type;Name;Regular price", None),
        ("", None),
    ],
)
def test_a_file_is_known_by_its_header(tmp_path: Path, header: str, kind: str | None) -> None:
    head = recognised(put(tmp_path, header + "\r\n"))
    assert (head and head.kind.name) == kind


def test_columns_that_are_not_used_are_listed_as_they_are_written(tmp_path: Path) -> None:
    head = recognised(put(tmp_path, "Handle,Title,Vendor,Variant Price,SEO Title\n"))
    assert head
    assert head.ignored == ["Vendor", "SEO Title"]


def test_a_used_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CsvError, match="the column 'variant price' twice"):
        recognised(put(tmp_path, "Handle,Title,Variant Price,variant price\n"))
    assert recognised(put(tmp_path, "Handle,Title,Variant Price,Tags,Tags\n"))


def test_the_rows_of_a_product_may_be_apart_and_products_keep_the_order_of_their_first_rows(tmp_path: Path) -> None:
    rows = ["b,B,Size,1,5", "a,A,Size,1,5", "b,,,2,6", "c,C,Size,1,5", "a,,,2,6", "b,,,3,7"]
    found, told = products(put(tmp_path, "\n".join(["Handle,Title,Option1 Name,Option1 Value,Variant Price", *rows])))
    assert [(product.key, [variant.line for variant in product.variants]) for product in found] == [
        ("b", [2, 4, 7]),
        ("a", [3, 6]),
        ("c", [5]),
    ]
    assert not told


def test_a_stray_quotation_mark_costs_its_lines_and_no_others(tmp_path: Path) -> None:
    rows = ["a,A,5", 'b,B 6" pipe,5', "c,C,5"]
    found, told = products(put(tmp_path, "\n".join(["Handle,Title,Variant Price", *rows])))
    assert [product.key for product in found] == ["a", "c"]
    assert [(remark.line, remark.weight) for remark in told] == [(3, Weight.BAD)]


def test_a_cell_may_have_line_breaks_and_the_lines_of_later_rows_count_them(tmp_path: Path) -> None:
    found, _ = products(put(tmp_path, 'Handle,Title,Body (HTML),Variant Price\r\na,A,"one\r\n\r\n""two""",5\r\nb,B,,6\r\n'))
    assert [(product.key, product.description, product.variants[0].line) for product in found] == [
        ("a", 'one\n\n"two"', 2),
        ("b", "", 5),
    ]


def test_a_file_with_too_many_rows_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, "Handle,Title,Variant Price\n" + "a,A,5\n" * 11)
    with pytest.raises(CsvError, match="more than 10 rows"):
        products(file, rows_max=10)


def test_a_line_in_another_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_bytes(b"Handle,Title,Variant Price\na,A,5\nb,Caf\xe9,5\n")
    with pytest.raises(CsvError, match="line 3 of"):
        products(file)
