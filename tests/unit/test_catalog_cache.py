"""The catalog cache by itself: what it keeps, and in which order things happen to it."""

import asyncio
import mmap
from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

import pytest

from mercato.v1.catalog_pb2 import ListProductsResponse, Product
from mercato_server.cache.catalog_cache import PAGE_MAX, CatalogCache, Loaded, Page, Tally, response
from mercato_server.cache.epochs import BYTES, Epochs
from mercato_server.feed.listener import Listener
from mercato_server.store.events import News, Snapshot

BALL, BIKE = uuid4(), uuid4()
SHOWN, RUNNING, LATER = 7, 11, 15
SNAPSHOT = Snapshot(10, 14, frozenset({RUNNING}))
"""Shows transaction 7, and neither 11, which was running, nor 15, which had not begun."""


class Shelf:
    """What a database would hold, with a pause before it answers."""

    def __init__(self) -> None:
        self.versions: dict[UUID, int] = {}
        self.asked: list[set[UUID]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, ids: Collection[UUID]) -> Loaded:
        self.asked.append(set(ids))
        found = {id_: b"%d" % self.versions[id_] for id_ in ids if id_ in self.versions}
        await self.open.wait()
        return Loaded(found, SNAPSHOT)


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


def cache_of(shelf: Shelf, epochs: Epochs) -> CatalogCache:
    pool: Any = None  # nobody listens here
    listener = Listener(pool)
    listener._heard_until = float("inf")
    return CatalogCache(shelf.load, listener, epochs, products_max=3, pages_max=2)


@pytest.fixture
async def cache(shelf: Shelf) -> CatalogCache:
    return cache_of(shelf, Epochs())


def keep(cache: CatalogCache, products: dict[UUID, bytes]) -> None:
    with cache.reading() as reading:
        cache.keep_products(products, reading, SNAPSHOT)


def keep_page(cache: CatalogCache, request: bytes, products: dict[UUID, bytes], rest: bytes = b"", *, in_stock: bool = False) -> None:
    keep(cache, products)
    with cache.reading() as reading:
        cache.keep_page(request, Page(tuple(products), rest, response(products.values(), rest), in_stock), reading, SNAPSHOT)


def hear(cache: CatalogCache, kind: str, product_id: UUID, xid: int) -> None:
    cache._listener._pass_on([News(kind, str(product_id), xid)])


def sell(cache: CatalogCache, product_id: UUID) -> None:
    cache.tell({"stock.changed": {product_id}})


def product(cache: CatalogCache, product_id: UUID) -> bytes | None:
    return cache.product(str(product_id).encode())


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
    sell(cache, BALL)
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
    for forget in cache._listener._on_gap:
        forget()
    shelf.open.set()
    assert await reading == {BALL: b"1"}
    assert cache.product(str(BALL).encode()) is cache.product(str(BIKE).encode()) is None


async def test_products_of_a_list_that_was_read_before_a_change_are_not_kept_after_it(cache: CatalogCache) -> None:
    with cache.reading() as reading:
        sell(cache, BALL)
        cache.keep_products({BALL: b"old"}, reading, SNAPSHOT)
    assert cache.product(str(BALL).encode()) is None
    keep(cache, {BALL: b"new"})
    assert cache.product(str(BALL).encode()) == b"new"


async def test_what_a_worker_changes_is_forgotten_at_once_by_all_of_its_host(shelf: Shelf) -> None:
    memory = mmap.mmap(-1, BYTES)
    here, there = cache_of(shelf, Epochs(memory)), cache_of(shelf, Epochs(memory))
    shelf.versions = {BALL: 1, BIKE: 1}
    for at in (here, there):
        keep_page(at, b"all", {BALL: b"1", BIKE: b"1"})
        assert at.page(b"all") == response([b"1", b"1"])
    shelf.versions[BALL] = 2
    sell(here, BALL)
    for at in (there, here):
        assert at.page(b"all") is None
        assert at.product(str(BIKE).encode()) == b"1"
        assert await at.products([BALL]) == {BALL: b"2"}
        assert at.page(b"all") == response([b"2", b"1"])
    here.tell({"product.updated": {BIKE}})
    assert [at.page(b"all") for at in (here, there)] == [None, None]


async def test_what_a_worker_has_only_heard_of_is_its_own_affair(shelf: Shelf) -> None:
    memory = mmap.mmap(-1, BYTES)
    here, there = cache_of(shelf, Epochs(memory)), cache_of(shelf, Epochs(memory))
    for at in (here, there):
        keep_page(at, b"all", {BALL: b"1"})
    hear(here, "stock.changed", BALL, LATER)
    assert [product(at, BALL) for at in (here, there)] == [None, b"1"]
    hear(here, "product.updated", BALL, LATER)
    assert [at.page(b"all") for at in (here, there)] == [None, response([b"1"])]


@pytest.mark.parametrize("kind", ["product.created", "product.updated", "product.deleted", "product.undeleted", "stock.changed"])
@pytest.mark.parametrize("xid", [SHOWN, RUNNING, LATER])
async def test_a_change_forgets_what_was_read_before_it_and_nothing_else(cache: CatalogCache, kind: str, xid: int) -> None:
    is_shown = xid == SHOWN
    keep_page(cache, b"all", {BALL: b"1"})
    keep_page(cache, b"in stock", {BIKE: b"1"}, in_stock=True)
    hear(cache, kind, BALL, xid)
    assert (product(cache, BALL), product(cache, BIKE)) == (b"1" if is_shown else None, b"1")
    assert (cache.page(b"all"), cache.page(b"in stock")) == ((response([b"1"]), response([b"1"])) if is_shown else (None, None))
    assert cache.sizes == ((2, 2) if is_shown else (1, 1 if kind == "stock.changed" else 0))


@pytest.mark.parametrize("xid", [SHOWN, RUNNING, LATER])
async def test_what_is_being_read_when_a_change_is_heard_is_kept_only_if_it_shows_the_change(
    cache: CatalogCache, shelf: Shelf, xid: int
) -> None:
    is_shown = xid == SHOWN
    shelf.versions = {BALL: 1}
    shelf.open.clear()
    loading = asyncio.ensure_future(cache.products([BALL]))
    while not shelf.asked:
        await asyncio.sleep(0)
    with cache.reading() as reading:
        hear(cache, "product.updated", BALL, xid)
    shelf.open.set()
    assert await loading == {BALL: b"1"}
    assert product(cache, BALL) == (b"1" if is_shown else None)
    cache.keep_products({BIKE: b"1"}, reading, SNAPSHOT)
    cache.keep_page(b"all", Page((BIKE,), b"", response([b"1"])), reading, SNAPSHOT)
    assert (product(cache, BIKE), cache.page(b"all")) == ((b"1", response([b"1"])) if is_shown else (None, None))


async def test_to_hear_of_a_product_is_no_use_that_keeps_it_longer(cache: CatalogCache) -> None:
    ids = [uuid4() for _ in range(4)]
    keep(cache, dict.fromkeys(ids[:3], b"x"))
    hear(cache, "stock.changed", ids[0], SHOWN)
    keep(cache, {ids[3]: b"x"})
    assert [product(cache, id_) for id_ in ids] == [None, b"x", b"x", b"x"]


async def test_only_those_products_of_a_page_are_read_again_that_have_changed(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 2, BIKE: 2}
    keep_page(cache, b"all", {BALL: b"1", BIKE: b"1"}, b"rest")
    assert await cache.refreshed_page(b"others") is None
    sell(cache, BALL)
    assert await cache.refreshed_page(b"all") == response([b"2", b"1"], b"rest") == cache.page(b"all")
    assert shelf.asked == [{BALL}]
    del shelf.versions[BIKE]
    sell(cache, BIKE)
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
    keep(cache, dict.fromkeys(ids[:3], b"x"))
    cache.product(str(ids[0]).encode())
    keep(cache, {ids[3]: b"x"})
    assert [cache.product(str(id_).encode()) for id_ in ids] == [b"x", None, b"x", b"x"]


async def test_a_page_is_forgotten_when_what_it_lists_may_have_changed(cache: CatalogCache) -> None:
    keep(cache, {BALL: b"x", BIKE: b"y"})
    keep_page(cache, b"all", {BALL: b"x"})
    keep_page(cache, b"in stock", {BALL: b"x"}, in_stock=True)
    assert cache.page(b"all") == cache.page(b"in stock") == response([b"x"])
    cache.tell({"order.placed": {BIKE}})
    assert cache.page(b"in stock") == response([b"x"])
    sell(cache, BIKE)
    assert (cache.page(b"all"), cache.page(b"in stock")) == (response([b"x"]), None)
    with cache.reading() as reading:
        cache.tell({"product.created": {BIKE}})
        assert cache.page(b"all") is None
        cache.keep_page(b"all", Page((BALL,), b"", response([b"x"])), reading, SNAPSHOT)  # read before what changed the list
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
