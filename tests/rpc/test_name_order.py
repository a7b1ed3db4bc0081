"""Lists by name over a real channel: their order, their tokens, and the pages that a worker keeps in memory."""

from uuid import uuid4

import pytest

from mercato.v1.catalog_pb2 import Category, CreateCategoryRequest, ListCategoriesRequest, ListProductsRequest
from mercato_server.domain.catalog import ProductFilter, ProductOrder
from mercato_server.domain.paging import PageTokens, Position
from mercato_server.store import search_documents
from support.databases import WRITE_OLD_DOCUMENTS
from support.patience import until
from support.shop import CALL_S, SECRET, Shop, refusal

NAMES = ["10 teas", "Ähre", "apple", "Apple", "Zebra", "Яблоко"]


async def products(shop: Shop, **fields: object) -> list[str]:
    """Return the names of all pages of a list."""
    names, token = list[str](), ""
    while True:
        request = ListProductsRequest(page_size=2, page_token=token, **fields)  # type: ignore[arg-type] # the fields of the message
        page = await shop.catalog.ListProducts(request, timeout=CALL_S)
        names += [product.name for product in page.products]
        token = page.next_page_token
        assert token.replace("-", "").replace("_", "").isalnum() or not token
        if not token:
            return names


async def test_products_and_categories_are_listed_by_the_algorithm(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for name in reversed(NAMES):
        await shop.product(admin, name=name)
        await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name=name)), metadata=admin.metadata, timeout=CALL_S)
    assert await products(shop, order_by="name") == NAMES
    assert await products(shop, order_by="name desc") == NAMES[::-1]
    token, listed = "", list[str]()
    while token or not listed:
        page = await shop.catalog.ListCategories(ListCategoriesRequest(page_size=4, page_token=token))
        listed += [category.name for category in page.categories]
        token = page.next_page_token
    assert listed == NAMES


@pytest.mark.parametrize("key", ["Ball", b"\x1c\xad"])
async def test_a_page_of_another_order_does_not_go_on_in_this_one(shop: Shop, key: str | bytes) -> None:
    """Tokens of the previous release hold a name, and those of another rule its keys; both were bound to the list as it was then."""
    by_name = PageTokens(SECRET).encode(Position(key, uuid4()), f"products {ProductFilter()} {ProductOrder.NAME}")
    assert await reason(shop.catalog.ListProducts(ListProductsRequest(order_by="name", page_token=by_name))) == "PAGE_TOKEN_INVALID"
    of_categories = PageTokens(SECRET).encode(Position(key, uuid4()), "categories")
    assert await reason(shop.catalog.ListCategories(ListCategoriesRequest(page_token=of_categories))) == "PAGE_TOKEN_INVALID"


async def reason(call: object) -> str:
    return (await refusal(call)).reason


async def test_a_page_in_memory_follows_keys_that_are_made_later(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    for name in ("Birne", "Zebra"):
        await shop.product(admin, name=name)
    await shop.pool.execute("UPDATE products SET name_key = '' WHERE name = 'Zebra'")
    await shop.pool.execute(WRITE_OLD_DOCUMENTS)

    async def listed(*names: str) -> bool:
        return await products(shop, order_by="name") == [*names]

    await shop.product(admin, name="Apfel")  # so that no earlier page is in memory
    await until(lambda: listed("Zebra", "Apfel", "Birne"))
    assert await search_documents.renew(shop.pool) == 2
    await until(lambda: listed("Apfel", "Birne", "Zebra"))
