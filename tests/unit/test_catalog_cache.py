"""The catalog cache by itself: what it keeps, and in which order things happen to it."""

import asyncio
import mmap
from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

import pytest

from mercato.v1.catalog_pb2 import ListProductsResponse, Product
from mercato_server.catalog_cache import PAGE_MAX, CatalogCache, Tally, response
from mercato_server.feed import Listener
from mercato_server.revisions import BYTES, Revisions

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


def cache_of(shelf: Shelf, revisions: Revisions) -> CatalogCache:
    pool: Any = None  # nobody listens here
    listener = Listener(pool)
    listener._heard_until = float("inf")
    return CatalogCache(shelf.load, listener, revisions, products_max=3, pages_max=2)


@pytest.fixture
async def cache(shelf: Shelf) -> CatalogCache:
    return cache_of(shelf, Revisions())


def keep_page(cache: CatalogCache, request: bytes, products: dict[UUID, bytes], rest: bytes = b"", *, in_stock: bool = False) -> None:
    cache.keep_products(products, cache.now)
    cache.keep_page(request, products, rest, response(products.values(), rest), cache.now, in_stock=in_stock)


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
    cache._revisions.miss()
    shelf.open.set()
    assert await reading == {BALL: b"1"}
    assert cache.product(str(BALL).encode()) is cache.product(str(BIKE).encode()) is None


async def test_products_of_a_list_that_was_read_before_a_change_are_not_kept_after_it(cache: CatalogCache) -> None:
    read = cache.now
    cache.changed(BALL)
    cache.keep_products({BALL: b"old"}, read)
    assert cache.product(str(BALL).encode()) is None
    cache.keep_products({BALL: b"new"}, cache.now)
    assert cache.product(str(BALL).encode()) == b"new"


async def test_what_a_worker_changes_is_forgotten_at_once_by_all_of_its_host(shelf: Shelf) -> None:
    memory = mmap.mmap(-1, BYTES)
    here, there = cache_of(shelf, Revisions(memory)), cache_of(shelf, Revisions(memory))
    shelf.versions = {BALL: 1, BIKE: 1}
    for at in (here, there):
        keep_page(at, b"all", {BALL: b"1", BIKE: b"1"})
        assert at.page(b"all") == response([b"1", b"1"])
    shelf.versions[BALL] = 2
    here.changed(BALL)
    for at in (there, here):
        assert at.page(b"all") is None
        assert at.product(str(BIKE).encode()) == b"1"
        assert await at.products([BALL]) == {BALL: b"2"}
        assert at.page(b"all") == response([b"2", b"1"])
    here.relisted(BIKE)
    assert [at.page(b"all") for at in (here, there)] == [None, None]


async def test_what_a_worker_has_only_heard_of_is_its_own_affair(shelf: Shelf) -> None:
    memory = mmap.mmap(-1, BYTES)
    here, there = cache_of(shelf, Revisions(memory)), cache_of(shelf, Revisions(memory))
    for at in (here, there):
        keep_page(at, b"all", {BALL: b"1"})
    here._listener._reactions["stock.changed"](str(BALL))
    assert [at.product(str(BALL).encode()) for at in (here, there)] == [None, b"1"]
    here._listener._reactions["product.updated"](str(BALL))
    assert [at.page(b"all") for at in (here, there)] == [None, response([b"1"])]


async def test_only_those_products_of_a_page_are_read_again_that_have_changed(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 2, BIKE: 2}
    keep_page(cache, b"all", {BALL: b"1", BIKE: b"1"}, b"rest")
    assert await cache.refreshed_page(b"others") is None
    cache.changed(BALL)
    assert await cache.refreshed_page(b"all") == response([b"2", b"1"], b"rest") == cache.page(b"all")
    assert shelf.asked == [{BALL}]
    del shelf.versions[BIKE]
    cache.changed(BIKE)
    assert await cache.refreshed_page(b"all") is None


async def test_reads_are_counted(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    for _ in range(3):
        await cache.products([BALL, BIKE])
    assert cache.page(b"all") is await cache.refreshed_page(b"all") is None
    keep_page(cache, b"all", {BALL: b"1"})
    cache.page(b"all")
    assert (cache.products_read, cache.pages_read, cache.sizes) == (Tally(4, 2), Tally(1, 1), (2, 1))


async def test_the_least_recently_used_goes_first(cache: CatalogCache) -> None:
    ids = [uuid4() for _ in range(4)]
    cache.keep_products(dict.fromkeys(ids[:3], b"x"), cache.now)
    cache.product(str(ids[0]).encode())
    cache.keep_products({ids[3]: b"x"}, cache.now)
    assert [cache.product(str(id_).encode()) for id_ in ids] == [b"x", None, b"x", b"x"]


async def test_a_page_is_forgotten_when_what_it_lists_may_have_changed(cache: CatalogCache) -> None:
    cache.keep_products({BALL: b"x", BIKE: b"y"}, cache.now)
    keep_page(cache, b"all", {BALL: b"x"})
    keep_page(cache, b"in stock", {BALL: b"x"}, in_stock=True)
    assert cache.page(b"all") == cache.page(b"in stock") == response([b"x"])
    cache.changed()
    assert cache.page(b"in stock") == response([b"x"])
    cache.changed(BIKE)
    assert (cache.page(b"all"), cache.page(b"in stock")) == (response([b"x"]), None)
    read = cache.now
    cache.relisted()
    assert cache.page(b"all") is None
    cache.keep_page(b"all", [BALL], b"", response([b"x"]), read, in_stock=False)  # read before what changed the list
    assert cache.page(b"all") is None
    keep_page(cache, b"long", {BALL: b"x" * PAGE_MAX})
    assert cache.page(b"long") is None
    keep_page(cache, b"x" * 300, {BALL: b"x"})
    assert cache.page(b"x" * 300) is None


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_a_response_is_put_together_as_protobuf_would(length: int) -> None:
    products = [Product(description="x" * length), Product(name="y")]
    rest = ListProductsResponse(next_page_token="z", total_size=7)
    whole = ListProductsResponse(products=products, next_page_token="z", total_size=7)
    parts = response([product.SerializeToString() for product in products], rest.SerializeToString())
    assert parts == whole.SerializeToString(deterministic=True)
