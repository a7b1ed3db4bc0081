"""The catalog cache alone: its entries after each order of reads and changes."""

import asyncio
import mmap
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID, uuid4

import pytest

from mercato.v1.catalog_pb2 import ListProductsResponse, Product
from mercato_server.cache.catalog_cache import PAGE_MAX, PLACE_BYTES, CacheInfo, CatalogCache, Loaded, LoadedPage, response
from mercato_server.cache.epochs import BYTES, Epochs
from mercato_server.feed.listener import Listener
from mercato_server.store.events import News, Snapshot

BALL, BIKE = uuid4(), uuid4()
SHOWN, RUNNING, LATER = 7, 11, 15
SNAPSHOT = Snapshot(10, 14, frozenset({RUNNING}))
"""A snapshot that shows transaction 7, but neither 11, which was running, nor 15, which had not begun."""


class Shelf:
    """A fake database with products, which pauses before it answers."""

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


def cache_of(shelf: Shelf, epochs: Epochs, pages_max: int = 2) -> CatalogCache:
    pool: Any = None  # the cache alone needs no pool
    listener = Listener(pool)
    listener._read_until = float("inf")
    return CatalogCache(shelf.load, listener, epochs, products_max=3, pages_max=pages_max)


@pytest.fixture
async def cache(shelf: Shelf) -> CatalogCache:
    return cache_of(shelf, Epochs())


async def read_page(
    cache: CatalogCache,
    request: bytes | None,
    products: dict[UUID, bytes],
    rest: bytes = b"",
    *,
    in_stock: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> bytes:
    """Read a page for which the database has these products, and call a function while it is read."""

    async def load() -> LoadedPage:
        meanwhile()
        return LoadedPage(products, rest, SNAPSHOT, in_stock)

    return await cache.page(request, load)


async def never() -> LoadedPage:
    raise AssertionError("the page is read")


async def keep(cache: CatalogCache, products: dict[UUID, bytes]) -> None:
    await read_page(cache, None, products)


def hear(cache: CatalogCache, kind: str, product_id: UUID, xid: int) -> None:
    cache._listener._pass_on([News(kind, str(product_id), xid)])


def sell(cache: CatalogCache, product_id: UUID) -> None:
    cache.publish({"stock.changed": {product_id}})


def product(cache: CatalogCache, product_id: UUID) -> bytes | None:
    return cache.known_product(str(product_id).encode())


async def test_calls_that_miss_at_once_share_a_query(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    gone = uuid4()
    answers = await asyncio.gather(*(cache.products(ids) for ids in ([BALL], [BALL, BIKE], [gone], [BIKE], [BALL, gone])))
    assert [set(answer) for answer in answers] == [{BALL}, {BALL, BIKE}, set(), {BIKE}, {BALL}]
    assert len(shelf.asked) <= 2
    await cache.products([BALL, BIKE])
    assert len(shelf.asked) <= 2


async def test_a_read_from_before_a_change_is_not_kept_after_it(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    shelf.open.clear()
    reading = asyncio.ensure_future(cache.products([BALL, BIKE]))
    while not shelf.asked:
        await asyncio.sleep(0)
    shelf.versions[BALL] = 2
    sell(cache, BALL)
    shelf.open.set()
    await reading
    assert product(cache, BALL) is None
    assert product(cache, BIKE) == b"1"
    assert await cache.products([BALL]) == {BALL: b"2"}


async def test_a_gap_in_the_feed_clears_the_cache_and_discards_reads_in_flight(cache: CatalogCache, shelf: Shelf) -> None:
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
    assert product(cache, BALL) is product(cache, BIKE) is None


async def test_products_of_a_list_that_was_read_before_a_change_are_not_kept_after_it(cache: CatalogCache) -> None:
    assert await read_page(cache, None, {BALL: b"old"}, meanwhile=lambda: sell(cache, BALL)) == response([b"old"])
    assert product(cache, BALL) is None
    await keep(cache, {BALL: b"new"})
    assert product(cache, BALL) == b"new"


async def test_a_change_by_a_worker_clears_the_caches_of_its_host_at_once(shelf: Shelf) -> None:
    memory = mmap.mmap(-1, BYTES)
    here, there = cache_of(shelf, Epochs(memory)), cache_of(shelf, Epochs(memory))
    shelf.versions = {BALL: 1, BIKE: 1}
    for at in (here, there):
        await read_page(at, b"all", {BALL: b"1", BIKE: b"1"})
        assert at.known_page(b"all") == response([b"1", b"1"])
    shelf.versions[BALL] = 2
    sell(here, BALL)
    for at in (there, here):
        assert at.known_page(b"all") is None
        assert product(at, BIKE) == b"1"
        assert await at.products([BALL]) == {BALL: b"2"}
        assert at.known_page(b"all") == response([b"2", b"1"])
    here.publish({"product.updated": {BIKE}})
    assert [at.known_page(b"all") for at in (here, there)] == [None, None]


async def test_a_change_that_a_worker_reads_from_the_feed_clears_only_its_own_cache(shelf: Shelf) -> None:
    memory = mmap.mmap(-1, BYTES)
    here, there = cache_of(shelf, Epochs(memory)), cache_of(shelf, Epochs(memory))
    for at in (here, there):
        await read_page(at, b"all", {BALL: b"1"})
    hear(here, "stock.changed", BALL, LATER)
    assert [product(at, BALL) for at in (here, there)] == [None, b"1"]
    hear(here, "product.updated", BALL, LATER)
    assert [at.known_page(b"all") for at in (here, there)] == [None, response([b"1"])]


@pytest.mark.parametrize("kind", ["product.created", "product.updated", "product.deleted", "product.undeleted", "stock.changed"])
@pytest.mark.parametrize("xid", [SHOWN, RUNNING, LATER])
async def test_a_change_clears_only_entries_that_were_read_before_it(cache: CatalogCache, kind: str, xid: int) -> None:
    is_shown = xid == SHOWN
    await read_page(cache, b"all", {BALL: b"1"})
    await read_page(cache, b"in stock", {BIKE: b"1"}, in_stock=True)
    hear(cache, kind, BALL, xid)
    assert (product(cache, BALL), product(cache, BIKE)) == (b"1" if is_shown else None, b"1")
    assert (cache.known_page(b"all"), cache.known_page(b"in stock")) == ((response([b"1"]), response([b"1"])) if is_shown else (None, None))
    assert cache.sizes == ((2, 2) if is_shown else (1, 1 if kind == "stock.changed" else 0))


@pytest.mark.parametrize("xid", [SHOWN, RUNNING, LATER])
async def test_a_read_in_flight_when_an_event_arrives_is_kept_only_if_it_shows_the_change(
    cache: CatalogCache, shelf: Shelf, xid: int
) -> None:
    is_shown = xid == SHOWN
    shelf.versions = {BALL: 1}
    shelf.open.clear()
    loading = asyncio.ensure_future(cache.products([BALL]))
    while not shelf.asked:
        await asyncio.sleep(0)
    await read_page(cache, b"all", {BIKE: b"1"}, meanwhile=lambda: hear(cache, "product.updated", BALL, xid))
    shelf.open.set()
    assert await loading == {BALL: b"1"}
    assert product(cache, BALL) == (b"1" if is_shown else None)
    assert (product(cache, BIKE), cache.known_page(b"all")) == ((b"1", response([b"1"])) if is_shown else (None, None))


async def test_an_event_of_a_product_does_not_count_as_a_use(cache: CatalogCache) -> None:
    ids = [uuid4() for _ in range(4)]
    await keep(cache, dict.fromkeys(ids[:3], b"x"))
    hear(cache, "stock.changed", ids[0], SHOWN)
    await keep(cache, {ids[3]: b"x"})
    assert [product(cache, id_) for id_ in ids] == [None, b"x", b"x", b"x"]


async def test_only_those_products_of_a_page_are_read_again_that_have_changed(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 2, BIKE: 2}
    await read_page(cache, b"all", {BALL: b"1", BIKE: b"1"}, b"rest")
    assert await read_page(cache, b"others", {BIKE: b"1"}) == response([b"1"])
    sell(cache, BALL)
    assert await cache.page(b"all", never) == response([b"2", b"1"], b"rest") == cache.known_page(b"all")
    assert shelf.asked == [{BALL}]
    del shelf.versions[BIKE]
    sell(cache, BIKE)
    assert await read_page(cache, b"all", {BALL: b"2"}) == response([b"2"]) == cache.known_page(b"all")


async def test_reads_are_counted(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 1, BIKE: 1}
    for _ in range(3):
        await cache.products([BALL, BIKE])
    assert cache.known_page(b"all") is None
    await read_page(cache, b"all", {BALL: b"1"})
    cache.known_page(b"all")
    assert (cache.products_read, cache.pages_read, cache.sizes) == (CacheInfo(4, 2), CacheInfo(1, 1), (2, 1))


async def test_the_least_recently_used_goes_first(cache: CatalogCache) -> None:
    ids = [uuid4() for _ in range(4)]
    await keep(cache, dict.fromkeys(ids[:3], b"x"))
    product(cache, ids[0])
    await keep(cache, {ids[3]: b"x"})
    assert [product(cache, id_) for id_ in ids] == [b"x", None, b"x", b"x"]


async def test_a_page_is_cleared_when_its_products_may_have_changed(cache: CatalogCache) -> None:
    await keep(cache, {BALL: b"x", BIKE: b"y"})
    await read_page(cache, b"all", {BALL: b"x"})
    await read_page(cache, b"in stock", {BALL: b"x"}, in_stock=True)
    assert cache.known_page(b"all") == cache.known_page(b"in stock") == response([b"x"])
    cache.publish({"order.placed": {BIKE}})
    assert cache.known_page(b"in stock") == response([b"x"])
    sell(cache, BIKE)
    assert (cache.known_page(b"all"), cache.known_page(b"in stock")) == (response([b"x"]), None)
    cache.publish({"product.created": {BIKE}})
    assert cache.known_page(b"all") is None
    await read_page(cache, b"all", {BALL: b"x"}, meanwhile=lambda: cache.publish({"product.created": {BIKE}}))
    assert cache.known_page(b"all") is None
    await read_page(cache, b"x" * 300, {BALL: b"x"})
    assert cache.known_page(b"x" * 300) is None


async def test_a_page_with_html_is_kept_in_as_many_places_as_it_is_long(shelf: Shelf) -> None:
    cache = cache_of(shelf, Epochs(), pages_max=4)
    with_html = {uuid4(): b"x" * 10_000 for _ in range(20)}
    await keep(cache, with_html)
    await read_page(cache, b"html", with_html)
    assert cache.known_page(b"html") == response(with_html.values())
    for number in range(4):
        await read_page(cache, b"%d" % number, {BALL: b"x"})
    assert [cache.known_page(b"%d" % number) for number in range(4)] == [response([b"x"])] * 4
    assert cache.known_page(b"html") is None
    two = {BALL: b"x" * PLACE_BYTES}
    for number in range(3):
        await read_page(cache, b"two %d" % number, two)
    assert [cache.known_page(b"two %d" % number) for number in range(3)] == [None, response(two.values()), response(two.values())]


@pytest.mark.parametrize(("pages_max", "length"), [(4, PAGE_MAX), (1, PLACE_BYTES), (0, 1)])
async def test_a_page_that_is_longer_than_its_bound_or_than_all_places_is_not_kept(shelf: Shelf, pages_max: int, length: int) -> None:
    cache = cache_of(shelf, Epochs(), pages_max=pages_max)
    await read_page(cache, b"long", {BALL: b"x" * length})
    assert cache.known_page(b"long") is None


async def read_group_page(cache: CatalogCache, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Read a page with a ball, the rest of whose fields depends on the stock of a bike."""

    async def load() -> LoadedPage:
        meanwhile()
        return LoadedPage({BALL: b"1"}, b"rest", SNAPSHOT, variants=frozenset({str(BIKE)}))

    await cache.page(b"groups", load)


async def test_a_page_is_read_again_after_a_sale_of_a_product_on_which_its_other_fields_depend(cache: CatalogCache, shelf: Shelf) -> None:
    shelf.versions = {BALL: 2}
    await read_group_page(cache)
    sell(cache, uuid4())
    assert cache.known_page(b"groups") == response([b"1"], b"rest")
    sell(cache, BALL)
    assert await cache.page(b"groups", never) == response([b"2"], b"rest")
    sell(cache, BIKE)
    assert cache.known_page(b"groups") is None
    await read_group_page(cache, meanwhile=lambda: sell(cache, BIKE))
    assert cache.known_page(b"groups") is None


@pytest.mark.parametrize("xid", [SHOWN, RUNNING, LATER])
async def test_an_event_of_a_product_on_which_other_fields_depend_clears_only_older_pages(cache: CatalogCache, xid: int) -> None:
    await read_group_page(cache)
    hear(cache, "stock.changed", uuid4(), LATER)
    assert cache.known_page(b"groups") == response([b"1"], b"rest")
    hear(cache, "stock.changed", BIKE, xid)
    assert cache.known_page(b"groups") == (response([b"1"], b"rest") if xid == SHOWN else None)


async def test_a_part_of_pages_is_read_once_until_lists_change(cache: CatalogCache) -> None:
    read: list[bytes] = []

    async def load() -> LoadedPage:
        read.append(b"part %d" % len(read))
        return LoadedPage({}, read[-1], SNAPSHOT)

    assert [(await cache.part(b"key", load)).rest for _ in range(2)] == [b"part 0"] * 2
    sell(cache, BALL)
    assert (await cache.part(b"key", load)).rest == b"part 0"
    cache.publish({"product.updated": {BALL}})
    assert [(await cache.part(b"key", load)).rest for _ in range(2)] == [b"part 1"] * 2
    hear(cache, "product.updated", BALL, RUNNING)
    assert (await cache.part(b"key", load)).rest == b"part 2"


async def test_a_page_with_an_older_part_goes_with_the_changes_that_the_part_lacks(cache: CatalogCache) -> None:
    newer = Snapshot(14, 20, frozenset({LATER}))

    async def load() -> LoadedPage:
        return LoadedPage({BALL: b"1"}, b"rest", newer).with_part(LoadedPage({}, b" part", SNAPSHOT))

    assert await cache.page(b"page", load) == response([b"1"], b"rest part")
    hear(cache, "product.updated", BALL, SHOWN)
    assert cache.known_page(b"page") == response([b"1"], b"rest part")
    hear(cache, "product.updated", BIKE, RUNNING)  # the page shows it, its part does not
    assert cache.known_page(b"page") is None


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 100_000])
def test_a_response_is_put_together_as_protobuf_would(length: int) -> None:
    products = [Product(description="x" * length), Product(name="y")]
    rest = ListProductsResponse(next_page_token="z", total_size=7)
    whole = ListProductsResponse(products=products, next_page_token="z", total_size=7)
    parts = response([product.SerializeToString() for product in products], rest.SerializeToString())
    assert parts == whole.SerializeToString(deterministic=True)


async def test_a_page_without_products_is_known_too(cache: CatalogCache) -> None:
    assert await read_page(cache, b"none", {}) == b"" == cache.known_page(b"none")
    cache.publish({"stock.changed": {BALL}})
    assert await cache.page(b"none", never) == b""


async def test_a_read_that_fails_keeps_nothing_and_the_next_one_is_answered(cache: CatalogCache) -> None:
    async def fail() -> LoadedPage:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await cache.page(b"all", fail)
    assert cache.sizes == (0, 0)
    assert await read_page(cache, b"all", {BALL: b"1"}) == response([b"1"]) == cache.known_page(b"all")
