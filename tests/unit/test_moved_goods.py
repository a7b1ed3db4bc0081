"""The cells of other shops' files: prices, weights, stock, texts and pictures."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain import moved_goods
from mercato_server.domain.moved_goods import UnfitCellError

UNITS = [("g", "1"), ("kg", "1000"), ("lb", "453.59237"), ("lbs", "453.59237"), ("oz", "28.349523125")]
"""Grams of a unit: NIST SP 811, appendix B.8."""


def ignored(_: str) -> None:
    """Take a remark that the test does not look at."""


# The exponents are those of ISO 4217, list one.
@pytest.mark.parametrize(
    ("cell", "currency", "minor"),
    [
        ("19.99", "USD", 1999),
        ("19.9", "USD", 1990),
        ("19", "USD", 1900),
        (" 0.07 ", "USD", 7),
        ("0", "USD", 0),
        ("19.9900", "USD", 1999),
        ("0.29", "EUR", 29),
        ("1500", "JPY", 1500),
        ("1500.00", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("10000000000.00", "USD", 10**12),
    ],
)
def test_a_price_is_in_minor_units_of_its_currency(cell: str, currency: str, minor: int) -> None:
    assert moved_goods.price_minor(cell, currency) == minor


@given(st.integers(0, 10**12), st.sampled_from([("JPY", 0), ("USD", 2), ("KWD", 3)]))
def test_a_price_loses_nothing_on_its_way_through_a_file(minor: int, currency: tuple[str, int]) -> None:
    code, decimals = currency
    whole, rest = divmod(minor, 10**decimals)
    assert moved_goods.price_minor(f"{whole}.{rest:0{decimals}}" if decimals else str(whole), code) == minor


@pytest.mark.parametrize(
    ("cell", "currency"),
    [
        ("", "USD"), ("19.999", "USD"), ("0.001", "USD"), ("1.5", "JPY"), ("1,299.00", "USD"), ("19,99", "USD"),
        ("-1", "USD"), ("1e3", "USD"), ("NaN", "USD"), ("$5", "USD"), ("١٢", "USD"),
        ("10000000000.01", "USD"), ("9" * 30, "USD"), (".5", "USD"), ("5.", "USD"),
    ],
)  # fmt: skip
def test_a_price_that_is_not_exact_here_is_refused(cell: str, currency: str) -> None:
    with pytest.raises(UnfitCellError):
        moved_goods.price_minor(cell, currency)


@given(
    st.decimals(0, 1000, places=3),
    st.sampled_from([("g", "1"), ("kg", "1000"), ("lb", "453.59237"), ("lbs", "453.59237"), ("oz", "28.349523125")]),
)
def test_a_weight_is_the_nearest_whole_gram_and_the_upper_one_of_two(weight: object, unit: tuple[str, str]) -> None:
    exact = Fraction(str(weight)) * Fraction(unit[1])
    assert moved_goods.grams(str(weight), unit[0]) == math.floor(exact + Fraction(1, 2))


def test_a_weight_without_a_known_unit_or_number_is_refused() -> None:
    assert moved_goods.grams("", "kg") == 0
    for cell, unit in (("1", "stone"), ("1", ""), ("one", "g"), ("1,5", "kg"), ("-1", "g"), ("1000001", "kg")):
        with pytest.raises(UnfitCellError):
            moved_goods.grams(cell, unit)


@pytest.mark.parametrize(
    ("cell", "stock", "remarks"),
    [("", None, 0), ("5", 5, 0), ("5.00", 5, 0), ("-3", 0, 1), ("1.5", 0, 1), ("many", 0, 1), ("9999999999", 10**9, 1)],
)
def test_stock_is_a_whole_number_of_units(cell: str, stock: int | None, remarks: int) -> None:
    told: list[str] = []
    assert moved_goods.units(cell, told.append) == stock
    assert len(told) == remarks


def test_a_category_is_the_path_of_its_names() -> None:
    assert moved_goods.category("Apparel & Accessories > Clothing >Shirts", ignored) == ("Apparel & Accessories", "Clothing", "Shirts")
    assert moved_goods.category("Home &amp; Garden", ignored) == ("Home & Garden",)
    assert moved_goods.category("Size &gt; 9 > Boots", ignored) == ("Size > 9", "Boots")
    assert moved_goods.category(" > ", ignored) == ()
    told: list[str] = []
    assert [len(name) for name in moved_goods.category("x" * 200 + " > y", told.append)] == [100, 1]
    assert told


@pytest.mark.parametrize(
    ("paths", "chosen", "told"),
    [
        (["Clothing", "Clothing > Men", "Clothing > Men > Hats"], ("Clothing", "Men", "Hats"), []),
        (["Clothing > Hats", "Sale"], ("Clothing", "Hats"), ["1 more categories were left out, since a product has one"]),
        (["Clothing > Hats", "Clothing > Hats"], ("Clothing", "Hats"), []),
        (["A", "B", "A > C", "A > D"], ("A", "C"), ["2 more categories were left out, since a product has one"]),
        (["", ""], (), []),
    ],
)
def test_of_several_categories_the_first_one_counts_as_deep_as_it_goes(paths: list[str], chosen: tuple[str, ...], told: list[str]) -> None:
    remarks: list[str] = []
    assert moved_goods.deepest(paths, remarks.append) == chosen
    assert remarks == told


def test_a_description_without_a_tag_is_text_with_its_lines() -> None:
    assert moved_goods.description("Fish &amp; chips\nwith 3 > 2", ignored) == ("Fish & chips\nwith 3 > 2", "")
    assert moved_goods.description("", ignored) == ("", "")


def test_a_description_whose_html_is_not_kept_leaves_its_text() -> None:
    told: list[str] = []
    assert moved_goods.description("<b>" * 5_001 + "Bold &amp; new", told.append) == ("Bold & new", "")
    text, html = moved_goods.description("<p>" + "&amp;" * 20_000 + "</p>", told.append)
    assert (len(text), html) == (10_000, "")
    assert moved_goods.description("<script>alert(1)</script>", told.append) == ("", "")
    assert len(told) == 3


def test_a_long_key_stays_one_of_its_own() -> None:
    assert moved_goods.key_of(" mug ") == "mug"
    long = "h" * 80
    assert len(moved_goods.key_of(long)) == 64
    assert moved_goods.key_of(long) != moved_goods.key_of(long + "i")
    assert moved_goods.key_of(long) == moved_goods.key_of(long)
