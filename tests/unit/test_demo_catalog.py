"""The demo catalog keeps the API's limits and looks like a real shop."""

import dataclasses
import re
import unicodedata
from collections import Counter

import pytest

from mercato_server.demo import DemoProduct, catalog

CATEGORIES, PRODUCTS = catalog()


def test_there_are_eight_categories_with_names_that_the_api_accepts() -> None:
    assert len(set(CATEGORIES)) == len(CATEGORIES) == 8
    assert all(1 <= len(name) <= 100 for name in CATEGORIES)


def test_every_category_has_twenty_five_of_the_two_hundred_products() -> None:
    assert len(PRODUCTS) == 200
    assert Counter(product.category for product in PRODUCTS) == dict.fromkeys(CATEGORIES, 25)


def test_skus_are_unique_and_count_up_within_their_category() -> None:
    assert len({product.sku for product in PRODUCTS}) == 200
    for category in CATEGORIES:
        skus = [product.sku for product in PRODUCTS if product.category == category]
        prefix = skus[0].partition("-")[0]
        assert re.fullmatch(r"[A-Z]{3}", prefix)
        assert skus == [f"{prefix}-{number:04}" for number in range(1, 26)]


def test_names_are_unique_even_without_case_and_accents_and_fit_the_api() -> None:
    assert len({folded(product.name) for product in PRODUCTS}) == 200
    assert all(1 <= len(product.name) <= 200 for product in PRODUCTS)


def test_every_description_is_its_own_and_one_or_two_sentences_long() -> None:
    assert len({product.description for product in PRODUCTS}) == 200
    for product in PRODUCTS:
        assert len(re.split(r"(?<=[.!?]) (?=[A-Z0-9])", product.description)) in {1, 2}, product.sku
        assert product.description.endswith("."), product.sku
        assert 40 <= len(product.description) <= 300, product.sku


def test_texts_are_trimmed_and_in_composed_unicode() -> None:
    for text in (*CATEGORIES, *(text for product in PRODUCTS for text in (product.name, product.description))):
        assert text == unicodedata.normalize("NFC", text.strip())
        assert text.isprintable()


def test_some_names_carry_accents_so_that_search_has_something_to_fold() -> None:
    accented = [product.name for product in PRODUCTS if folded(product.name) != product.name.lower()]
    assert len(accented) >= 10
    assert {word for name in accented for word in name.split()} >= {"Café", "Élan", "Über-Grip"}


def test_prices_are_whole_minor_units_between_a_cent_and_ten_thousand() -> None:
    for product in PRODUCTS:
        assert type(product.price_minor) is int, product.sku
        assert 1 <= product.price_minor <= 1_000_000, product.sku


def test_prices_spread_from_pocket_money_to_a_carbon_bike() -> None:
    prices = [product.price_minor for product in PRODUCTS]
    assert min(prices) < 1_000
    assert max(prices) > 200_000
    assert len(set(prices)) >= 40


def test_a_few_products_are_out_of_stock_and_a_few_nearly_so_but_most_can_be_bought() -> None:
    stocks = [product.stock for product in PRODUCTS]
    assert all(type(stock) is int and 0 <= stock <= 400 for stock in stocks)
    assert 5 <= stocks.count(0) <= 15
    assert sum(1 <= stock <= 3 for stock in stocks) >= 5
    assert sum(stock > 3 for stock in stocks) >= 150


def test_every_category_has_something_in_stock_and_something_sold_out() -> None:
    for category in CATEGORIES:
        stocks = [product.stock for product in PRODUCTS if product.category == category]
        assert min(stocks) == 0 < max(stocks), category


def test_every_product_has_a_weight_with_its_packing_that_fits_what_it_is() -> None:
    weights = {product.sku: product.weight_grams for product in PRODUCTS}
    assert all(type(weight) is int and 10 <= weight <= 40_000 for weight in weights.values())
    stated = {"FTB-0003": 350, "FTB-0011": 80, "CYC-0008": 6_300, "FIT-0011": 8_000, "FIT-0012": 16_000, "FIT-0013": 2 * 10_000}
    stated |= {"FIT-0015": 20_000, "FIT-0016": 15_000, "HIK-0012": 890, "WIN-0003": 2 * 1_250, "WIN-0025": 180}
    assert [sku for sku, weight in stated.items() if not weight <= weights[sku] <= 1.3 * weight] == []


def test_food_alone_is_taxed_by_the_reduced_rate() -> None:
    assert {product.sku for product in PRODUCTS if product.tax_category == "reduced"} == {"RUN-0025"}
    assert {product.tax_category for product in PRODUCTS} == {"standard", "reduced"}


def test_expensive_things_are_kept_in_small_numbers() -> None:
    assert all(product.stock <= 15 for product in PRODUCTS if product.price_minor >= 20_000)


def test_every_product_has_one_or_two_image_urls_made_from_its_sku() -> None:
    for product in PRODUCTS:
        base = f"https://images.example.com/mercato/{product.sku}"
        assert product.image_urls in {(f"{base}.jpg",), (f"{base}.jpg", f"{base}-2.jpg")}
    assert {len(product.image_urls) for product in PRODUCTS} == {1, 2}


def test_the_catalog_reads_the_same_every_time_and_cannot_be_altered() -> None:
    assert catalog() == (CATEGORIES, PRODUCTS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRODUCTS[0].stock = 0  # type: ignore[misc]  # the test is that it is read-only
    assert not hasattr(PRODUCTS[0], "__dict__")
    assert all(isinstance(product, DemoProduct) for product in PRODUCTS)


def folded(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(char))
