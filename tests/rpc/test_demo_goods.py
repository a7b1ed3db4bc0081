"""The demo shop has a tree of categories, groups of variants and pictures, and old clients see its catalog as before."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from mercato.v1 import catalog_pb2, media_pb2
from mercato_server import demo
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.demo import category_id, product_id
from mercato_server.demo.goods import goods, group_id
from mercato_server.demo.prices import method_id, prices
from mercato_server.pictures.files import PictureFiles
from mercato_server.store.demo import Additions, load
from mercato_server.store.verify import verify
from rpc.test_demo_shop import snapshot
from support.demo_shop import load_whole
from support.market import BERLIN, Market
from support.pictures import own_directory
from support.shop import worker

CATEGORIES, PRODUCTS = demo.catalog()
SHIRT = str(group_id(0))


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return own_directory(settings, tmp_path / "pictures")


@pytest.fixture
async def trade(settings: Settings, pool: "Pool", tmp_path: Path) -> AsyncIterator[Market]:
    """A worker of the demo shop."""
    assert await load_whole(settings.database_url, tmp_path / "pictures")
    async with worker(settings, pool) as shop:
        yield Market(shop, await shop.person(admin=True))


async def listed(trade: Market, **wanted: object) -> list[catalog_pb2.Product]:
    """Return all products of a list."""
    found: list[catalog_pb2.Product] = []
    token = ""
    while True:
        request = catalog_pb2.ListProductsRequest(page_size=100, page_token=token, **wanted)  # type: ignore[arg-type] # named as there
        page = await trade.shop.catalog.ListProducts(request)
        found += page.products
        token = page.next_page_token
        if not token:
            return found


async def category(trade: Market, name: str) -> str:
    found: str = await trade.shop.pool.fetchval("SELECT id::text FROM categories WHERE name = $1", name)
    return found


async def violated(pool: "Pool") -> list[str]:
    async with pool.acquire() as conn:
        return [f"{each.invariant.name}: {each.examples}" for each in await verify(conn) if each.violations]


async def test_the_newest_products_are_those_of_the_catalog_in_their_order(trade: Market) -> None:
    newest = [product.id for product in await listed(trade)]
    assert newest[:200] == [str(product_id(number)) for number in reversed(range(200))]
    assert len(newest) == 248


async def test_a_category_of_the_catalog_has_its_products_and_one_above_has_those_of_all_below(trade: Market) -> None:
    for number, name in enumerate(CATEGORIES):
        found = await listed(trade, category_id=str(category_id(number)))
        assert {product.sku for product in found} == {product.sku for product in PRODUCTS if product.category == name}
    sizes = {name: len(await listed(trade, category_id=await category(trade, name))) for name in ("Sports", "Ball Games", "Clubwear")}
    assert sizes == {"Sports": 8 * 25, "Ball Games": 2 * 25, "Clubwear": 12 + 8 + 14 + 8 + 3 + 3}


async def test_a_collapsed_list_has_an_entry_for_each_group_with_its_prices_and_facets(trade: Market) -> None:
    request = catalog_pb2.ListProductsRequest(category_id=await category(trade, "Clubwear"), collapse=True, facets=True, page_size=50)
    page = await trade.shop.catalog.ListProducts(request)
    assert {group.name: (group.min_price.minor_units, group.max_price.minor_units, group.variants) for group in page.groups} == {
        "Halyard Training Shirt": (2_499, 2_699, 12),
        "Topsail Club Jacket": (6_999, 6_999, 8),
        "Plover Sports Shoes": (7_999, 7_999, 14),
        "Capstan Club Socks": (899, 899, 8),
        "Pennant Club Cap": (1_499, 1_499, 3),
        "Binnacle Drinking Bottle": (999, 1_399, 3),
    }
    counts = {facet.name: {value.value: value.count for value in facet.values} for facet in page.facets}
    assert counts["Colour"] == {"Blue": 3, "Green": 3, "Red": 2, "Yellow": 1, "Orange": 1, "Black": 1, "White": 1}
    assert {counts["Size"][size] for size in "SML"} == {2}


async def test_each_product_shows_a_picture_that_the_shop_itself_serves(trade: Market) -> None:
    found = await listed(trade)
    for product in found:
        [picture] = product.pictures
        assert picture.alt.startswith("A drawing of ")
        assert product.image_urls == [picture.large.url]
    urls = {picture.small.url for product in found for picture in product.pictures}
    assert len(urls) == 40
    for url in urls:
        assert re.fullmatch(r"/pictures/[0-9a-f]{64}-small\.webp", url)
        answer = await trade.shop.media.GetPicture(media_pb2.GetPictureRequest(name=url.rpartition("/")[2]))
        assert (answer.content_type, answer.data[:4]) == ("image/webp", b"RIFF")


async def test_a_variant_is_bought_with_its_options(trade: Market) -> None:
    group = await trade.shop.catalog.GetProductGroup(catalog_pb2.GetProductGroupRequest(group_id=SHIRT))
    [shirt] = [each for each in group.variants if [option.value for option in each.options] == ["XL", "Red"]]
    buyer = await trade.shop.person()
    await trade.shop.add(buyer, catalog_pb2.Product(id=shirt.product_id))
    await trade.header(buyer, shipping_address=BERLIN, shipping_method_id=str(method_id(0)))
    [line] = (await trade.shop.checkout(buyer)).lines
    assert (line.options_text, line.unit_price.minor_units) == ("Size: XL, Colour: Red", 2_699)
    assert await violated(trade.shop.pool) == []


async def test_the_files_are_named_by_what_they_hold(trade: Market, tmp_path: Path) -> None:
    files, directory = PictureFiles(tmp_path / "pictures"), tmp_path / "pictures/renditions"
    stored = [UUID(hex=path.name[:32]) for path in directory.rglob("*.webp")]
    assert len(stored) == 3 * len(set(stored)) == 3 * 40
    for row in await trade.shop.pool.fetch("SELECT digest FROM pictures"):
        work = files.new_work()
        for size in ("small", "medium", "large"):
            (work / size).write_bytes(files.read(f"{row['digest'].hex()}-{size}.webp") or b"")
        assert files.digest(work) == row["digest"]


async def test_of_two_loads_at_the_same_time_one_fills_the_shop(settings: Settings, pool: "Pool", tmp_path: Path) -> None:
    loads = [load_whole(settings.database_url, tmp_path / "pictures") for _ in range(2)]
    assert sorted(await asyncio.gather(*loads)) == [False, True]
    assert await violated(pool) == []


async def test_a_shop_whose_pictures_cannot_be_stored_stays_empty_and_is_filled_later(
    settings: Settings, pool: "Pool", tmp_path: Path
) -> None:
    async def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        await load(settings.database_url, "USD", *demo.catalog(), prices(), Additions(goods(), fail))
    assert await pool.fetchval("SELECT count(*) FROM products") == 0
    assert await pool.fetchval("SELECT count(*) FROM pictures") == 0
    assert await load_whole(settings.database_url, tmp_path / "pictures")


async def test_a_shop_with_a_group_of_its_own_is_not_filled(settings: Settings, pool: "Pool", tmp_path: Path) -> None:
    await pool.execute("INSERT INTO product_groups (code, name, varies_by, currency_code) VALUES ('HALYARD', 'Kite', '{Size}', 'USD')")
    await load_whole(settings.database_url, tmp_path / "pictures")
    assert await pool.fetchval("SELECT count(*) FROM products") == 0


async def test_the_demo_shop_of_the_previous_release_stays_as_it_is(settings: Settings, pool: "Pool", tmp_path: Path) -> None:
    assert await load(settings.database_url, "USD", *demo.catalog(), prices())
    before = await snapshot(pool)
    assert not await load_whole(settings.database_url, tmp_path / "pictures")
    assert await snapshot(pool) == before
    assert not (tmp_path / "pictures").exists()
