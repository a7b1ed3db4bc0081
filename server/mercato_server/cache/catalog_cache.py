"""The cache of the catalog: products and first pages of lists, as serialized responses."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar
from uuid import UUID

from cachetools import Cache, LRUCache

from mercato_server.cache.epochs import LISTING, STOCK, Epochs, slot
from mercato_server.config.settings import Batching
from mercato_server.database.batching import Coalescer, Coalescers
from mercato_server.database.pool import Changes
from mercato_server.domain.events import EventKind
from mercato_server.feed.listener import Listener
from mercato_server.store.events import News, Snapshot

REQUEST_MAX = 256
"""Maximum length of a serialized list request whose first page is cached."""
PLACE_BYTES = 64 * 1024
"""Maximum length of a cached response that takes one of the places for pages; one with 20 products without HTML has 8 KB."""
PAGE_MAX = 4 * PLACE_BYTES
"""Maximum length of a cached response: 20 products with 10 KB of HTML each fit. It takes a place for each PLACE_BYTES that it begins."""
MISSES = Batching(batch_max=256, in_flight_max=2, beside_min=256)
"""One query reads all products that calls miss while the previous query runs."""
LISTED = (
    EventKind.PRODUCT_CREATED,
    EventKind.PRODUCT_UPDATED,
    EventKind.PRODUCT_DELETED,
    EventKind.PRODUCT_UNDELETED,
    EventKind.PRODUCT_GROUP_CREATED,
    EventKind.PRODUCT_GROUP_UPDATED,
    EventKind.PRODUCT_GROUP_DELETED,
    EventKind.CATEGORY_MOVED,
)
"""Events that may change the products of a list. A change of stock does so only for lists of products in stock."""
KINDS = (*LISTED, EventKind.STOCK_CHANGED)
"""Events that change a product, or the lists of a category."""

Products = Mapping[UUID, bytes]
Kept = TypeVar("Kept")


class Loaded(NamedTuple):
    """Serialized products by id, and the snapshot in which they were read; the snapshot is None if there are no products."""

    products: Products
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class LoadedPage:
    """A page of a list: its serialized products in their order, the serialized rest of its fields, and the snapshot of the read."""

    products: Products
    rest: bytes
    snapshot: Snapshot
    in_stock: bool = False
    """Whether the list has only products in stock."""
    variants: frozenset[str] = frozenset()
    """The ids of products beside those of the page on whose stock the rest of its fields depends."""

    def with_part(self, part: "LoadedPage") -> "LoadedPage":
        """Return the page with further fields from a part; it then has the changes that both of them have."""
        return replace(self, rest=self.rest + part.rest, snapshot=self.snapshot.common(part.snapshot))


class _ListEpochs(NamedTuple):
    """The epochs of the product list and of all stock, when a read began."""

    listing: int
    stock: int


@dataclass(eq=False, slots=True)
class _Reading:
    """A running read of the database, and the transactions that the feed has reported since it began."""

    began: _ListEpochs
    reported: set[int] = field(default_factory=set)
    """Transactions whose events the feed has delivered since the read began."""
    lost: bool = False
    """Whether the feed may have missed events since the read began."""

    def is_current(self, snapshot: Snapshot) -> bool:
        """Return whether the snapshot of the read contains all transactions that the feed has reported since it began."""
        return not self.lost and all(map(snapshot.shows, self.reported))


class _Product(NamedTuple):
    content: bytes
    epoch: int
    snapshot: Snapshot


@dataclass(slots=True)
class _Page:
    keys: tuple[bytes, ...]
    rest: bytes
    whole: bytes
    in_stock: bool
    snapshot: Snapshot
    read: _ListEpochs
    variants: Mapping[bytes, int]
    """The epochs of the products beside those of the page on whose stock `rest` depends."""
    invalidations: int
    """The cache's count of invalidations when `whole` was assembled."""


@dataclass(slots=True)
class CacheInfo:
    """Counters of reads that were served from memory (hits), and of the others (misses)."""

    hits: int = 0
    misses: int = 0


class CatalogCache:
    """Serialized products by id, and the product ids of first pages of lists; bounded, with the least recently used entry evicted first.

    Two mechanisms invalidate entries. A worker of this host changes the epochs of the products that its transaction changed, before it
    answers the call. An entry is valid only while its epoch is the one of its read. The change feed delivers the changes of all hosts. An
    event removes the entries whose snapshot does not contain its transaction. While the feed cannot be read, the cache serves nothing.
    """

    def __init__(
        self,
        load: Callable[[Collection[UUID]], Awaitable[Loaded]],
        listener: Listener,
        epochs: Epochs,
        *,
        products_max: int,
        pages_max: int,
    ) -> None:
        """Prepare; `load` reads and serializes the products on sale among the given ids.

        There are `pages_max` places of PLACE_BYTES for pages.
        """
        self._load = load
        self._listener = listener
        self._epochs = epochs
        self._products: LRUCache[bytes, _Product] = LRUCache(products_max)
        self._pages: LRUCache[bytes, _Page] = LRUCache(pages_max if products_max else 0, _places)
        self._readings: set[_Reading] = set()
        self._invalidations = 0
        """The number of polls that have delivered changes of products."""
        self._misses: Coalescer[Collection[UUID], Products] = Coalescer(self._serve, batching=MISSES)
        self.coalescers: Coalescers = {"get_product": self._misses}
        self.products_read, self.pages_read = CacheInfo(), CacheInfo()
        listener.subscribe(KINDS, self._invalidate, self._clear)

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of cached products and pages."""
        return len(self._products), len(self._pages)

    def known_product(self, key: bytes) -> bytes | None:
        """Return the cached product of an id (as text), or None if the cache has no current entry."""
        found = self._known(key) if self._listener.current else None
        self.products_read.hits += found is not None
        return found

    async def products(self, ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return the products on sale among the ids; one query reads the missing ones together with those of other calls."""
        known = {id_: found for id_ in ids if (found := self.known_product(_key(id_)))}
        missed = [id_ for id_ in ids if id_ not in known]
        self.products_read.misses += len(missed)
        return {**known, **await self._misses(missed)} if missed else known

    def known_page(self, request: bytes) -> bytes | None:
        """Return the cached response to a serialized list request, or None if the page or one of its products has no current entry."""
        now = self._now
        page = self._page(request, now)
        if page is None:
            return None
        if page.read.stock != now.stock or page.invalidations != self._invalidations:
            products = [self._known(key) for key in page.keys]
            if None in products:
                return None
            page.whole = response(products, page.rest)  # type: ignore[arg-type] # no None is left in there
            page.read, page.invalidations = now, self._invalidations
        self.pages_read.hits += 1
        return page.whole

    async def page(self, request: bytes | None, load: Callable[[], Awaitable[LoadedPage]]) -> bytes:
        """Return the response to a serialized list request for which `known_page` has returned None.

        If the cache has the product ids of the page, it reads only the missing products; otherwise `load` reads the page. A request of
        None means a page that is not the first; `load` always reads it. The cache stores the products of any page.
        """
        if request is not None:
            self.pages_read.misses += 1
            if (refreshed := await self._refreshed(request)) is not None:
                return refreshed
        with self._reading() as reading:
            loaded = await load()
        whole = response(loaded.products.values(), loaded.rest)
        if reading.is_current(loaded.snapshot):
            self._keep_products(loaded, reading)
            if request is not None:
                self._keep_page(request, loaded, whole, reading)
        return whole

    async def part(self, key: bytes, load: Callable[[], Awaitable[LoadedPage]]) -> LoadedPage:
        """Return what several pages have in common, such as facets; it has no products. `load` reads it if it is not in memory."""
        known = self._page(key, self._now)
        if known is not None:
            return LoadedPage({}, known.rest, known.snapshot)
        with self._reading() as reading:
            loaded = await load()
        if reading.is_current(loaded.snapshot):
            self._keep_page(key, loaded, loaded.rest, reading)
        return loaded

    def publish(self, changes: Changes) -> None:
        """Invalidate the changes of a committed transaction in all workers of this host, before this worker answers the call.

        The stock epoch changes before the epochs of the products; otherwise an older read could be stored with their new epochs. It changes
        again after them; otherwise a page could be assembled from old products.
        """
        relisted = [LISTING] if any(kind in changes for kind in LISTED) else []
        slots = _slots(id_ for kind in KINDS for id_ in changes.get(kind, ()))
        if slots:
            self._epochs.renew([STOCK, *slots, *relisted, STOCK])

    @property
    def _now(self) -> _ListEpochs:
        return _ListEpochs(self._epochs.of(LISTING), self._epochs.of(STOCK))

    @contextmanager
    def _reading(self) -> Iterator[_Reading]:
        """Record the events of the feed during a block that reads entries for the cache."""
        reading = _Reading(self._now)
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.discard(reading)

    async def _refreshed(self, request: bytes) -> bytes | None:
        """Return a page whose product ids are cached, after reading its missing products; None if the ids are not cached."""
        page = self._page(request, self._now)
        if page is None:
            return None
        ids = [UUID(key.decode()) for key in page.keys]
        products = await self.products(ids)
        if len(products) < len(ids):
            return None
        whole = response([products[id_] for id_ in ids], page.rest)
        return whole if len(whole) <= PAGE_MAX else None  # products that have grown may no longer fit into one page

    def _keep_products(self, loaded: LoadedPage, reading: _Reading) -> None:
        """Store the products of a page, unless any product has changed since its read began."""
        if not self._products.maxsize:
            return
        kept = {(key := _key(id_)): _Product(each, self._epochs.of(slot(key)), loaded.snapshot) for id_, each in loaded.products.items()}
        if reading.began.stock == self._epochs.of(STOCK):  # read after the epochs of the products: `publish` changes it before them
            self._products.update(kept)

    def _keep_page(self, request: bytes, loaded: LoadedPage, whole: bytes, reading: _Reading) -> None:
        """Store the page that answers a request, unless the request or the page is too long, or the stock of its variants has changed."""
        variants = {(key := id_.encode()): self._epochs.of(slot(key)) for id_ in loaded.variants}
        if variants and reading.began.stock != self._epochs.of(STOCK):  # read after their epochs: `publish` changes it before them
            return
        if len(request) <= REQUEST_MAX and len(whole) <= PAGE_MAX:
            keys = tuple(map(_key, loaded.products))
            page = _Page(keys, loaded.rest, whole, loaded.in_stock, loaded.snapshot, reading.began, variants, self._invalidations)
            if _places(page) <= self._pages.maxsize:
                self._pages[request] = page

    def _invalidate(self, news: Sequence[News]) -> None:
        """Remove the entries whose snapshots do not contain the transactions of these events."""
        written = {each.xid for each in news}
        newest = max(written, default=0)
        for reading in self._readings:
            reading.reported |= written
        for each in news:
            key = each.subject_id.encode()
            if key in self._products and not _peek(self._products, key).snapshot.shows(each.xid):
                del self._products[key]
        self._invalidations += 1
        relisted = {each.xid for each in news if each.kind in LISTED}
        subjects: dict[bytes, set[int]] = {}
        for each in news:
            subjects.setdefault(each.subject_id.encode(), set()).add(each.xid)
        for request in list(self._pages):
            page = _peek(self._pages, request)
            if newest >= page.snapshot.xmin and not all(map(page.snapshot.shows, _concerning(page, written, relisted, subjects))):
                del self._pages[request]

    def _clear(self) -> None:
        """Remove all entries, and store nothing from running reads: the listener may have missed events."""
        self._products.clear()
        self._pages.clear()
        for reading in self._readings:
            reading.lost = True

    def _known(self, key: bytes) -> bytes | None:
        found = self._products.get(key)
        return found.content if found and found.epoch == self._epochs.of(slot(key)) else None

    def _page(self, request: bytes, now: _ListEpochs) -> _Page | None:
        """Return a cached page whose list of products is current, even if some of the products have changed; else None."""
        page = self._pages.get(request) if self._listener.current else None
        if page is None or page.read.listing != now.listing:
            return None
        if page.read.stock == now.stock:
            return page
        sold = page.in_stock or any(self._epochs.of(slot(key)) != epoch for key, epoch in page.variants.items())
        return None if sold else page

    async def _serve(self, calls: Sequence[Collection[UUID]]) -> list[Products]:
        """Read the products that several calls miss."""
        missed = {id_: self._epochs.of(slot(_key(id_))) for ids in calls for id_ in ids}
        with self._reading() as reading:
            found, snapshot = await self._load(missed)
        if snapshot and self._products.maxsize and reading.is_current(snapshot):
            self._products.update({_key(id_): _Product(product, missed[id_], snapshot) for id_, product in found.items()})
        return [{id_: found[id_] for id_ in ids if id_ in found} for ids in calls]


def response(products: Iterable[bytes], rest: bytes = b"") -> bytes:
    """Return a serialized response whose first field is the repeated `products`, followed by the serialized rest of its fields."""
    parts: list[bytes] = []
    for product in products:
        parts += (b"\x0a", _varint(len(product)), product)
    return b"".join((*parts, rest))


def _concerning(page: _Page, written: set[int], relisted: set[int], subjects: Mapping[bytes, set[int]]) -> set[int]:
    """Return the transactions, of those of all events and those that change lists, which change the products or other fields of a page."""
    if page.in_stock:
        return written
    return relisted.union(*(subjects[key] for key in page.variants.keys() & subjects.keys()))


def _varint(number: int) -> bytes:
    """Return a number below 2 ** 21 in the encoding that protobuf uses for lengths."""
    if number < 1 << 7:
        return number.to_bytes(1)
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))


def _places(page: _Page) -> int:
    return max(1, -(-len(page.whole) // PLACE_BYTES))


def _key(product_id: UUID) -> bytes:
    return str(product_id).encode()


def _peek(cache: Cache[bytes, Kept], key: bytes) -> Kept:
    """Return the entry of a key. Unlike `cache[key]`, this does not count as a use of the entry."""
    return Cache.__getitem__(cache, key)


def _slots(product_ids: Iterable[UUID]) -> list[int]:
    return [slot(_key(id_)) for id_ in product_ids]
