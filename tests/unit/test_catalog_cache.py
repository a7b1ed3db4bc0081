"""The catalog cache by itself: what it keeps, and in which order things happen to it."""

import asyncio
from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

import pytest

from mercato.v1.catalog_pb2 import ListProductsResponse, Product
from mercato_server.catalog_cache import CHANGES_KEPT, CatalogCache, response
from mercato_server.feed import Listener

BALL, BIKE = uuid4(), uuid4()


class Shelf:
    """What a database would hold, with a pause before it answers."""

    def __init__(self) -> None:
        self.versions: dict[UUID, int] = {}
        self.asked: list[set[UUID]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, ids: Collection[UUID]) -> dict[UUID, bytes]:
        self.asked.append(set(ids))
        found = {id_: b"%d" % self.versions[id_] for id_ in ids if id_ in self.versions}
        await self.open.wait()
        return found


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def cache(shelf: Shelf) -> CatalogCache:
    pool: Any = None  # nobody listens here
    listener = Listener(pool)
    listener._heard_until = float("inf")
    return CatalogCache(shelf.load, listener, products_max=3, pages_max=2)


async def test_calls_that_miss_at_once_share_a_query(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    gone = uuid4()
    answers = await asyncio.gather(*(cache.products(ids) for ids in ([BALL], [BALL, BIKE], [gone], [BIKE], [BALL, gone])))
    assert [set(answer) for answer in answers] == [{BALL}, {BALL, BIKE}, set(), {BIKE}, {BALL}]
    assert len(shelf.asked) <= 2
    await cache.products([BALL, BIKE])
    assert len(shelf.asked) <= 2


async def test_what_was_read_before_a_change_is_not_kept_after_it(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    shelf.open.clear()
    reading = asyncio.ensure_future(cache.products([BALL, BIKE]))
    while not shelf.asked:
        await asyncio.sleep(0)
    shelf.versions[BALL] = 2
    cache.changed(BALL)
    shelf.open.set()
    await reading
    assert cache.product(str(BALL).encode()) is None
    assert cache.product(str(BIKE).encode()) == b"1"
    assert await cache.products([BALL]) == {BALL: b"2"}


async def test_a_gap_in_the_feed_forgets_all_and_what_is_being_read(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    await cache.products([BIKE])
    shelf.open.clear()
    reading = asyncio.ensure_future(cache.products([BALL]))
    while len(shelf.asked) < 2:
        await asyncio.sleep(0)
    cache.forget()
    shelf.open.set()
    assert await reading == {BALL: b"1"}
    assert cache.product(str(BALL).encode()) is cache.product(str(BIKE).encode()) is None


async def test_changes_of_very_many_products_are_remembered_roughly_and_never_forgotten(cache: CatalogCache) -> None:
    read = cache.now
    cache.changed(BALL)
    for _ in range(CHANGES_KEPT + 1):
        cache.changed(uuid4())
    cache.keep_products({BALL: b"old"}, read)
    assert cache.product(str(BALL).encode()) is None
    cache.keep_products({BALL: b"new"}, cache.now)
    assert cache.product(str(BALL).encode()) == b"new"
    assert len(cache._changes) <= CHANGES_KEPT


async def test_the_least_recently_used_goes_first(cache: CatalogCache) -> None:
    ids = [uuid4() for _ in range(4)]
    cache.keep_products(dict.fromkeys(ids[:3], b"x"), cache.now)
    cache.product(str(ids[0]).encode())
    cache.keep_products({ids[3]: b"x"}, cache.now)
    assert [cache.product(str(id_).encode()) for id_ in ids] == [b"x", None, b"x", b"x"]


async def test_a_page_is_forgotten_when_what_it_lists_may_have_changed(cache: CatalogCache) -> None:
    cache.keep_products({BALL: b"x", BIKE: b"y"}, cache.now)
    cache.keep_page(b"all", [BALL], b"", cache.now, in_stock=False)
    cache.keep_page(b"in stock", [BALL], b"", cache.now, in_stock=True)
    assert cache.page(b"all") == cache.page(b"in stock") == response([b"x"])
    cache.changed(BIKE)
    assert (cache.page(b"all"), cache.page(b"in stock")) == (response([b"x"]), None)
    read = cache.now
    cache.relisted()
    assert cache.page(b"all") is None
    cache.keep_page(b"all", [BALL], b"", read, in_stock=False)  # read before what changed the list
    assert cache.page(b"all") is None
    cache.keep_page(b"x" * 300, [BALL], b"", cache.now, in_stock=False)
    assert cache.page(b"x" * 300) is None


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_a_response_is_put_together_as_protobuf_would(length: int) -> None:
    products = [Product(description="x" * length), Product(name="y")]
    rest = ListProductsResponse(next_page_token="z", total_size=7)
    whole = ListProductsResponse(products=products, next_page_token="z", total_size=7)
    parts = response([product.SerializeToString() for product in products], rest.SerializeToString())
    assert parts == whole.SerializeToString(deterministic=True)
