"""The catalog in a worker's memory: products, and first pages of lists, as the bytes that answer a call."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from cachetools import LRUCache

from mercato_server.coalescer import Batching, Coalescer
from mercato_server.feed import Listener

REQUEST_MAX = 256
"""Longest serialized request of a list whose first page is kept."""
CHANGES_KEPT = 10_000
MISSES = Batching(batch_max=256, in_flight_max=2, beside_min=256)
"""One query for all that is missed while the one before runs."""
LISTED = ("product.created", "product.updated", "product.deleted", "product.undeleted")
"""Events that may change what a list holds; a change of stock does so only where a list is of what is in stock."""

Products = Mapping[UUID, bytes]


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was read from the database, counted in changes that the cache has heard of."""

    change: int
    listing: int
    stock: int


@dataclass(frozen=True, slots=True)
class _Page:
    keys: tuple[bytes, ...]
    rest: bytes
    in_stock: bool
    read: Moment


class CatalogCache:
    """Serialized products by id, and which of them are on a list's first page; bounded, and the least recently used goes first.

    The change feed tells what others change; as long as it cannot be heard, nothing is answered from here. Whoever changes something in
    this worker says so at once. What was read before a change is not kept after it.
    """

    def __init__(
        self, load: Callable[[Collection[UUID]], Awaitable[Products]], listener: Listener, *, products_max: int, pages_max: int
    ) -> None:
        """Prepare; `load` reads and serializes those of some products that are on sale."""
        self._load = load
        self._listener = listener
        self._products: LRUCache[bytes, bytes] = LRUCache(products_max)
        self._pages: LRUCache[bytes, _Page] = LRUCache(pages_max)
        self._changes: dict[bytes, int] = {}
        self._floor = 0
        self._now = Moment(0, 0, 0)
        self._misses: Coalescer[Collection[UUID], Products] = Coalescer(self._serve, party=lambda _: object(), batching=MISSES)
        listener.subscribe({**dict.fromkeys(LISTED, self.relisted), "stock.changed": self.changed}, self.forget)

    @property
    def now(self) -> Moment:
        """What is to be noted before something is read that shall be kept."""
        return self._now

    def product(self, key: bytes) -> bytes | None:
        """Return a product by its id as text, or None if it is not known for sure."""
        return self._products.get(key) if self._listener.current else None

    async def products(self, ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return those of the products that are on sale; what is not known is read, together with what others miss."""
        known = {id_: found for id_ in ids if (found := self.product(_key(id_)))}
        missed = [id_ for id_ in ids if id_ not in known]
        return {**known, **await self._misses(missed)} if missed else known

    def page(self, request: bytes) -> bytes | None:
        """Return the response to a serialized list request, or None if the page or one of its products is not known for sure."""
        page = self._pages.get(request) if self._listener.current else None
        if page is None or page.read.listing != self._now.listing or (page.in_stock and page.read.stock != self._now.stock):
            return None
        products = [self._products.get(key) for key in page.keys]
        return None if None in products else response(products, page.rest)  # type: ignore[arg-type] # no None is left in there

    def keep_products(self, products: Products, read: Moment) -> None:
        """Remember products that were read at a moment, except those that have changed since."""
        for id_, product in products.items():
            key = _key(id_)
            if self._products.maxsize and read.change >= max(self._floor, self._changes.get(key, 0)):
                self._products[key] = product

    def keep_page(self, request: bytes, ids: Iterable[UUID], rest: bytes, read: Moment, *, in_stock: bool) -> None:
        """Remember the page that answers a serialized request; `rest` is its response without the products."""
        if self._products.maxsize and len(request) <= REQUEST_MAX:
            self._pages[request] = _Page(tuple(map(_key, ids)), rest, in_stock, read)

    def changed(self, *product_ids: UUID) -> None:
        """Forget products whose stock may have changed."""
        self._now = now = Moment(self._now.change + 1, self._now.listing, self._now.stock + 1)
        if len(self._changes) + len(product_ids) > CHANGES_KEPT:
            self._changes.clear()
            self._floor = now.change
        for key in map(_key, product_ids):
            self._products.pop(key, None)
            self._changes[key] = now.change

    def relisted(self, *product_ids: UUID) -> None:
        """Forget products, and which products lists hold."""
        self.changed(*product_ids)
        self._now = Moment(self._now.change, self._now.listing + 1, self._now.stock)

    def forget(self) -> None:
        """Forget everything: changes may have been missed."""
        now = self._now
        self._now = Moment(now.change + 1, now.listing + 1, now.stock + 1)
        self._floor = self._now.change
        self._changes.clear()
        self._products.clear()
        self._pages.clear()

    async def _serve(self, calls: Sequence[Collection[UUID]]) -> list[Products]:
        """Read what several calls miss."""
        read = self._now
        found = await self._load({id_ for ids in calls for id_ in ids})
        self.keep_products(found, read)
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
