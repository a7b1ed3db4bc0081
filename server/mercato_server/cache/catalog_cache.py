"""The catalog in a worker's memory: products, and first pages of lists, as the bytes that answer a call."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
"""Longest serialized request of a list whose first page is kept."""
PAGE_MAX = 64 * 1024
"""Longest response that is kept: 20 products take 8 KB."""
MISSES = Batching(batch_max=256, in_flight_max=2, beside_min=256)
"""One query for all that is missed while the one before runs."""
LISTED = (EventKind.PRODUCT_CREATED, EventKind.PRODUCT_UPDATED, EventKind.PRODUCT_DELETED, EventKind.PRODUCT_UNDELETED)
"""Events that may change what a list holds; a change of stock does so only where a list is of what is in stock."""
KINDS = (*LISTED, EventKind.STOCK_CHANGED)
"""Events that change a product."""

Products = Mapping[UUID, bytes]
Kept = TypeVar("Kept")


class Loaded(NamedTuple):
    """Serialized products by id, and the snapshot in which they were read; None if there are none."""

    products: Products
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class LoadedPage:
    """A page of a list: its serialized products in their order, the serialized rest of its fields, and the snapshot of the read."""

    products: Products
    rest: bytes
    snapshot: Snapshot
    in_stock: bool = False
    """Whether the list is of what is in stock."""


class _Moment(NamedTuple):
    """The epochs of which products there are, and of any stock, when a read began."""

    listing: int
    stock: int


@dataclass(eq=False, slots=True)
class _Reading:
    """A read of the database that is under way, and what the feed has brought since it began."""

    began: _Moment
    heard: set[int] = field(default_factory=set)
    """Transactions whose events the feed has brought meanwhile."""
    lost: bool = False
    """Whether the feed may have missed events meanwhile."""

    def is_current(self, snapshot: Snapshot) -> bool:
        """Tell whether the read has seen all that the feed has brought meanwhile."""
        return not self.lost and all(map(snapshot.shows, self.heard))


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
    read: _Moment
    stocks_heard: int
    """How many polls had brought changes of products when `whole` was put together."""


@dataclass(slots=True)
class Tally:
    """How many reads were answered from memory, and how many were not."""

    hits: int = 0
    misses: int = 0


class CatalogCache:
    """Serialized products by id, and which of them are on a list's first page; bounded, and the least recently used goes first.

    Two ways lead to a change. A transaction of a worker of this host tells of what it changed before it is answered: what is kept counts
    as long as its epoch is still the one that it had when it was read. The change feed brings what other hosts changed, and again what
    this one did: an event forgets what was read in a snapshot that does not show its transaction, and nothing else. While the feed cannot
    be read, nothing is answered from here.
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
        """Prepare; `load` reads and serializes those of some products that are on sale."""
        self._load = load
        self._listener = listener
        self._epochs = epochs
        self._products: LRUCache[bytes, _Product] = LRUCache(products_max)
        self._pages: LRUCache[bytes, _Page] = LRUCache(pages_max if products_max else 0)
        self._readings: set[_Reading] = set()
        self._stocks_heard = 0
        self._misses: Coalescer[Collection[UUID], Products] = Coalescer(self._serve, batching=MISSES)
        self.coalescers: Coalescers = {"get_product": self._misses}
        self.products_read, self.pages_read = Tally(), Tally()
        listener.subscribe(KINDS, self._hear, self._forget_all)

    @property
    def sizes(self) -> tuple[int, int]:
        """Return how many products and pages are kept."""
        return len(self._products), len(self._pages)

    def known_product(self, key: bytes) -> bytes | None:
        """Return a product by its id as text, or None if it is not known for sure."""
        found = self._known(key) if self._listener.current else None
        self.products_read.hits += found is not None
        return found

    async def products(self, ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return those of the products that are on sale; what is not known is read, together with what others miss."""
        known = {id_: found for id_ in ids if (found := self.known_product(_key(id_)))}
        missed = [id_ for id_ in ids if id_ not in known]
        self.products_read.misses += len(missed)
        return {**known, **await self._misses(missed)} if missed else known

    def known_page(self, request: bytes) -> bytes | None:
        """Return the response to a serialized list request, or None if the page or one of its products is not known for sure."""
        now = self._now
        page = self._page(request, now)
        if page is None:
            return None
        if page.read.stock != now.stock or page.stocks_heard != self._stocks_heard:
            products = [self._known(key) for key in page.keys]
            if None in products:
                return None
            page.whole = response(products, page.rest)  # type: ignore[arg-type] # no None is left in there
            page.read, page.stocks_heard = now, self._stocks_heard
        self.pages_read.hits += 1
        return page.whole

    async def page(self, request: bytes | None, load: Callable[[], Awaitable[LoadedPage]]) -> bytes:
        """Return the response to a serialized list request that is not known as a whole (`known_page`).

        If it is known which products it holds, only those are read that are not known; else `load` reads the page. A request of None, for
        a page that is not the first, is always read. The products of any page are kept.
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

    def tell(self, changes: Changes) -> None:
        """Let every worker of this host know what a transaction of this one has changed, before any call is answered so.

        The epoch of any stock before those of the products, or what was read earlier could be kept with their new epochs; and after them,
        or a page could be put together of old ones.
        """
        relisted = [LISTING] if any(kind in changes for kind in LISTED) else []
        slots = _slots(id_ for kind in KINDS for id_ in changes.get(kind, ()))
        if slots:
            self._epochs.tell([STOCK, *slots, *relisted, STOCK])

    @property
    def _now(self) -> _Moment:
        return _Moment(self._epochs.of(LISTING), self._epochs.of(STOCK))

    @contextmanager
    def _reading(self) -> Iterator[_Reading]:
        """Watch the feed during a block that reads what shall be kept."""
        reading = _Reading(self._now)
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.discard(reading)

    async def _refreshed(self, request: bytes) -> bytes | None:
        """Return the response of a page of which it is known which products it holds, though not all of these, or None."""
        page = self._page(request, self._now)
        if page is None:
            return None
        ids = [UUID(key.decode()) for key in page.keys]
        products = await self.products(ids)
        return response([products[id_] for id_ in ids], page.rest) if len(products) == len(ids) else None

    def _keep_products(self, loaded: LoadedPage, reading: _Reading) -> None:
        """Remember the products of a page, unless any product has changed since its read began."""
        if not self._products.maxsize:
            return
        kept = {(key := _key(id_)): _Product(each, self._epochs.of(slot(key)), loaded.snapshot) for id_, each in loaded.products.items()}
        if reading.began.stock == self._epochs.of(STOCK):  # read after the epochs of the products: `tell` changes it before them
            self._products.update(kept)

    def _keep_page(self, request: bytes, loaded: LoadedPage, whole: bytes, reading: _Reading) -> None:
        """Remember the page that answers a request, unless one of the two is too long."""
        if self._pages.maxsize and len(request) <= REQUEST_MAX and len(whole) <= PAGE_MAX:
            keys = tuple(map(_key, loaded.products))
            self._pages[request] = _Page(keys, loaded.rest, whole, loaded.in_stock, loaded.snapshot, reading.began, self._stocks_heard)

    def _hear(self, news: Sequence[News]) -> None:
        """Forget what was read before the transactions of these events were to be seen."""
        written = {each.xid for each in news}
        newest = max(written, default=0)
        for reading in self._readings:
            reading.heard |= written
        for each in news:
            key = each.subject_id.encode()
            if key in self._products and not _peek(self._products, key).snapshot.shows(each.xid):
                del self._products[key]
        self._stocks_heard += 1
        relisted = {each.xid for each in news if each.kind in LISTED}
        for request in list(self._pages):
            page = _peek(self._pages, request)
            if newest >= page.snapshot.xmin and not all(map(page.snapshot.shows, written if page.in_stock else relisted)):
                del self._pages[request]

    def _forget_all(self) -> None:
        """Forget everything, and keep nothing of what is being read: events may have been missed."""
        self._products.clear()
        self._pages.clear()
        for reading in self._readings:
            reading.lost = True

    def _known(self, key: bytes) -> bytes | None:
        found = self._products.get(key)
        return found.content if found and found.epoch == self._epochs.of(slot(key)) else None

    def _page(self, request: bytes, now: _Moment) -> _Page | None:
        """Return a page that still holds what it did, though what it holds may have changed."""
        page = self._pages.get(request) if self._listener.current else None
        if page is None or page.read.listing != now.listing or (page.in_stock and page.read.stock != now.stock):
            return None
        return page

    async def _serve(self, calls: Sequence[Collection[UUID]]) -> list[Products]:
        """Read what several calls miss."""
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


def _varint(number: int) -> bytes:
    """Return a number below 2 ** 21 as protobuf writes lengths."""
    if number < 1 << 7:
        return number.to_bytes(1)
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))


def _key(product_id: UUID) -> bytes:
    return str(product_id).encode()


def _peek(cache: Cache[bytes, Kept], key: bytes) -> Kept:
    """Return what is kept by a key; other than `cache[key]` this is no use that would keep it longer."""
    return Cache.__getitem__(cache, key)


def _slots(product_ids: Iterable[UUID]) -> list[int]:
    return [slot(_key(id_)) for id_ in product_ids]
