"""Facets of lists: the options of the variants that match and their counts, through a real channel."""

import random
import time
import uuid

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    ListProductsRequest,
    ListProductsResponse,
    Product,
    ProductOption,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato_server.domain import variant_filters
from support import variant_market
from support.patience import Within
from support.shop import SOON_S, Person, Shop
from support.variant_market import ADD_GROUP, some_request, stock_up

Counts = dict[str, dict[str, int]]

# Groups of two variants each, with one size that all have and one of 250 colours.
FILL = """
WITH made AS (
    INSERT INTO product_groups (code, name, varies_by, currency_code, min_price_minor, max_price_minor, variants)
    SELECT 'G' || n, 'Shirt', '{Size,Colour}', currency_code, 100, 100, 2 FROM shop, generate_series(1, $1::integer) AS n
    RETURNING id, substr(code, 2)::integer AS n
), variant AS (
    INSERT INTO products (name, description, price_minor, currency_code, image_urls, group_id, options, folded_options, options_text,
                          is_listed)
    SELECT 'Shirt', '', 100, currency_code, '{}', made.id,
           jsonb_build_array(jsonb_build_array('Size', size), jsonb_build_array('Colour', colour)),
           jsonb_build_object('size', lower(size), 'colour', lower(colour)), 'x', size = 'S'
      FROM shop, made, unnest('{S,M}'::text[]) AS size, LATERAL (SELECT 'C' || n % 250 AS colour) AS named
    RETURNING id
)
INSERT INTO stock_levels (product_id, on_hand) SELECT id, 1 FROM variant
"""


async def group(shop: Shop, *varies_by: str) -> str:
    return str(await shop.pool.fetchval(ADD_GROUP, str(uuid.uuid4()), "Shirt", list(varies_by)))


async def variant(shop: Shop, admin: Person, group_id: str, price: int = 1000, stock: int = 5, /, **values: str) -> Product:
    options = [ProductOption(name=name, value=value) for name, value in values.items()]
    return await shop.product(admin, price=price, stock=stock, group_id=group_id, options=options)


def counts(found: ListProductsResponse) -> Counts:
    return {facet.name: {each.value: each.count for each in facet.values} for facet in found.facets}


async def facets(shop: Shop, **request: object) -> Counts:
    return counts(await shop.catalog.ListProducts(ListProductsRequest(facets=True, **request)))  # type: ignore[arg-type] # named as there


@pytest.mark.parametrize("seed", range(3))
async def test_a_value_counts_the_groups_that_the_list_has_if_it_is_chosen(shop: Shop, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same shop each time
    wares = await stock_up(shop, await shop.person(admin=True), chance, groups=14, alone=5)
    for _ in range(40):
        request = some_request(chance, wares)
        request.facets = True
        found = await shop.catalog.ListProducts(request)
        assert not found.facets_at_least
        folded = {name.casefold(): {value.casefold(): count for value, count in own.items()} for name, own in counts(found).items()}
        assert folded == variant_market.facets(wares, request), request
        chosen = variant_market.choices_of(request)
        selected = {(facet.name.casefold(), each.value.casefold()) for facet in found.facets for each in facet.values if each.selected}
        assert selected == {(name, value) for name, own in folded.items() for value in own if value in chosen.get(name, ())}
        for name, own in folded.items():
            value, count = chance.choice(list(own.items()))
            choice = ListProductsRequest()
            choice.CopyFrom(request)
            choice.collapse, choice.facets = True, False
            choice.options[:] = [each for each in request.options if each.partition(":")[0].strip().casefold() != name] + [
                f"{name}:{value}"
            ]
            assert (await shop.catalog.ListProducts(choice)).total_size == count, choice


async def test_an_option_ignores_its_own_choice_and_the_others_do_not(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt, jumper = await group(shop, "Size", "Colour"), await group(shop, "SIZE", "colour")
    for group_id, size, colour in ((shirt, "S", "Red"), (shirt, "M", "Blue"), (jumper, "s", "blue"), (jumper, "L", "BLUE")):
        await variant(shop, admin, group_id, Size=size, Colour=colour)
    await shop.product(admin)
    assert await facets(shop) == {"Colour": {"Blue": 2, "Red": 1}, "Size": {"S": 2, "L": 1, "M": 1}}
    assert await facets(shop, options=["size:s"]) == {"Size": {"S": 2, "L": 1, "M": 1}, "colour": {"blue": 1, "Red": 1}}
    both = await facets(shop, options=["size:s", "colour:blue"])
    assert both == {"SIZE": {"L": 1, "M": 1, "s": 1}, "colour": {"blue": 1, "Red": 1}}
    assert await facets(shop, q="nothing like it") == {}
    assert not (await shop.catalog.ListProducts(ListProductsRequest(collapse=True))).facets


async def test_at_most_10_000_matches_are_counted(shop: Shop) -> None:
    await shop.pool.execute(FILL, 5_000)
    exact = await shop.catalog.ListProducts(ListProductsRequest(facets=True, page_size=1))
    assert (exact.facets_at_least, sum(counts(exact)["Size"].values())) == (False, 10_000)
    assert (len(counts(exact)["Colour"]), set(counts(exact)["Colour"].values())) == (variant_filters.FACET_VALUES_MAX, {20})
    chosen = await shop.catalog.ListProducts(ListProductsRequest(facets=True, page_size=1, options=["colour:c249"]))
    assert [each.value for facet in chosen.facets if facet.name == "Colour" for each in facet.values if each.selected] == ["C249"]
    await shop.pool.execute(FILL.replace("'G'", "'H'"), 1)
    more = await shop.catalog.ListProducts(ListProductsRequest(facets=True, page_size=1, min_price=1))
    assert (more.facets_at_least, sum(counts(more)["Size"].values())) == (True, 10_000)
    few = await shop.catalog.ListProducts(ListProductsRequest(facets=True, page_size=1, options=["size:s", "colour:c7"]))
    assert (few.facets_at_least, counts(few)["Size"]) == (False, {"M": 20, "S": 20})


async def test_a_list_has_at_most_20_facets(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for number in range(21):
        await variant(shop, admin, await group(shop, f"Option {number:02}"), **{f"Option {number:02}": "x"})
    assert list(await facets(shop)) == [f"Option {number:02}" for number in range(20)]


async def test_facets_have_each_change_at_once_and_elsewhere_soon(shop: Shop, elsewhere: Shop, within: Within) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size")
    small, medium = await variant(shop, admin, shirt, Size="S"), await variant(shop, admin, shirt, Size="M")

    async def are(expected: Counts, **request: object) -> None:
        changed = asked = time.monotonic()
        assert [await facets(shop, **request) for _ in range(2)] == [expected] * 2
        while await facets(elsewhere, **request) != expected:
            assert asked - changed < within(SOON_S)
            asked = time.monotonic()

    await are({"Size": {"M": 1, "S": 1}}, in_stock=True)
    await are({"Size": {"M": 1, "S": 1}}, max_price=1000)
    await shop.catalog.AdjustStock(AdjustStockRequest(product_id=medium.id, delta=-5), metadata=admin.metadata)
    await are({"Size": {"S": 1}}, in_stock=True)
    dearer = Product(id=small.id, price=Money(minor_units=2000))
    await shop.catalog.UpdateProduct(UpdateProductRequest(product=dearer, update_mask=FieldMask(paths=["price"])), metadata=admin.metadata)
    await are({"Size": {"M": 1}}, max_price=1000)
