"""Collapsed lists, lists by options, and facets over REST."""

import asyncio
import uuid
from typing import Any

import asyncpg
import pytest

from support.mercato_up import Up, created, draft
from support.rest_client import Client
from support.variant_market import ADD_GROUP


async def add_group(url: str, *varies_by: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(ADD_GROUP, str(uuid.uuid4()), "Shirt", list(varies_by)))
    finally:
        await connection.close()


@pytest.fixture
def category_id(shop_up: Up, admin: Client) -> str:
    """A category with a ball for 500 and a shirt: S for 1000 without stock, M for 1500, L for 2000."""
    category = str(shop_up.category()["id"])
    group_id = asyncio.run(add_group(shop_up.database, "Size"))
    for size, price, stock in (("S", 1000, 0), ("M", 1500, 4), ("L", 2000, 1)):
        options = [{"name": "Size", "value": size}]
        body = draft(name="Shirt", minor_units=price, stock=stock, category_id=category, group_id=group_id, options=options)
        created(admin.post("/products", body))
    created(admin.post("/products", draft(name="Ball", minor_units=500, category_id=category)))
    return category


def prices(page: dict[str, Any]) -> list[int]:
    return [int(product["price"]["minor_units"]) for product in page["products"]]


def test_a_collapsed_list_shows_each_group_once(anyone: Client, category_id: str) -> None:
    page = anyone.get(f"/products?category_id={category_id}&collapse=true&order_by=price&include_total_size=true").json
    assert (prices(page), page["total_size"]) == ([500, 1000], 2)
    [group] = page["groups"]
    assert group["group_id"] == page["products"][1]["group_id"]
    assert (group["name"], group["variants"], group["variants_in_stock"]) == ("Shirt", 3, 2)
    assert (group["min_price"]["minor_units"], group["max_price"]["minor_units"]) == ("1000", "2000")
    assert group["in_stock"] == [{"name": "Size", "values": ["M", "L"]}]
    one = anyone.get(f"/products?category_id={category_id}&collapse=true&page_size=1").json
    other = anyone.get(f"/products?category_id={category_id}&collapse=true&page_size=1&page_token={one['next_page_token']}").json
    assert (prices(one), prices(other), other["next_page_token"]) == ([500], [1000], "")


def test_options_are_alternatives_by_name(anyone: Client, category_id: str) -> None:
    path = f"/products?category_id={category_id}&order_by=price"
    assert prices(anyone.get(f"{path}&options=size:m&options=SIZE:L").json) == [1500, 2000]
    assert prices(anyone.get(f"{path}&options=Size%3AL&options=Size:M&collapse=true").json) == [1500]
    assert prices(anyone.get(f"{path}&options=Size:M&options=Colour:Red").json) == []
    group_id = anyone.get(f"{path}&options=size:m").json["products"][0]["group_id"]
    assert prices(anyone.get(f"/products?group_id={group_id}&order_by=price").json) == [1000, 1500, 2000]
    assert anyone.get(f"{path}&options=Size").fields == ["options[0]"]


def test_facets_count_groups_and_mark_what_is_chosen(anyone: Client, category_id: str) -> None:
    page = anyone.get(f"/products?category_id={category_id}&facets=true&options=size:s").json
    [facet] = page["facets"]
    assert (facet["name"], page["facets_at_least"]) == ("Size", False)
    assert sorted((each["value"], each["count"], each["selected"]) for each in facet["values"]) == [
        ("L", 1, False),
        ("M", 1, False),
        ("S", 1, True),
    ]


def test_a_list_without_the_new_parameters_has_nothing_new(anyone: Client, category_id: str) -> None:
    page = anyone.get(f"/products?category_id={category_id}").json
    assert len(page["products"]) == 4
    assert (page["groups"], page["facets"]) == ([], [])
    assert "facets_at_least" not in page
