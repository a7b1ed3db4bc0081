"""The catalog in a worker's memory: products, and first pages of lists, as the bytes that answer a call."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from cachetools import LRUCache

from mercato_server.coalescer import Coalescer, Coalescers
from mercato_server.config import Batching
from mercato_server.feed import Listener
from mercato_server.revisions import LISTING, STOCK, Revisions, slot

REQUEST_MAX = 256
"""Longest serialized request of a list whose first page is kept."""
PAGE_MAX = 64 * 1024
"""Longest response that is kept: 20 products take 8 KB."""
MISSES = Batching(batch_max=256, in_flight_max=2, beside_min=256)
"""One query for all that is missed while the one before runs."""
LISTED = ("product.created", "product.updated", "product.deleted", "product.undeleted")
"""Events that may change what a list holds; a change of stock does so only where a list is of what is in stock."""

Products = Mapping[UUID, bytes]


class Moment(NamedTuple):
    """What was so when something was read from the database: the revisions of which products there are, and of any stock."""

    listing: int
    stock: int


class _Product(NamedTuple):
    content: bytes
    revision: int


@dataclass(slots=True)
class _Page:
    keys: tuple[bytes, ...]
    rest: bytes
    whole: bytes
    read: Moment
    in_stock: bool


@dataclass(slots=True)
class Tally:
    """How many reads were answered from memory, and how many were not."""

    hits: int = 0
    misses: int = 0


class CatalogCache:
    """Serialized products by id, and which of them are on a list's first page; bounded, and the least recently used goes first.

    Everything is kept with the revision that it had when it was read, and counts as long as that is still the same. A worker of this host
    that changes something says so at once; the change feed tells what others change, and while it cannot be heard, nothing is answered
    from here.
    """

    def __init__(
        self,
        load: Callable[[Collection[UUID]], Awaitable[Products]],
        listener: Listener,
        revisions: Revisions,
        *,
        products_max: int,
        pages_max: int,
    ) -> None:
        """Prepare; `load` reads and serializes those of some products that are on sale."""
        self._load = load
        self._listener = listener
        self._revisions = revisions
        self._products: LRUCache[bytes, _Product] = LRUCache(products_max)
        self._pages: LRUCache[bytes, _Page] = LRUCache(pages_max if products_max else 0)
        self._misses: Coalescer[Collection[UUID], Products] = Coalescer(self._serve, party=lambda _: object(), batching=MISSES)
        self.coalescers: Coalescers = {"get_product": self._misses}
        self.products_read, self.pages_read = Tally(), Tally()
        heard = {**dict.fromkeys(LISTED, self._heard_of_listing), "stock.changed": self._heard_of_stock}
        listener.subscribe(heard, revisions.miss)

    @property
    def now(self) -> Moment:
        """What is to be noted before something is read that shall be kept."""
        return Moment(self._revisions.of(LISTING), self._revisions.of(STOCK))

    @property
    def sizes(self) -> tuple[int, int]:
        """Return how many products and pages are kept."""
        return len(self._products), len(self._pages)

    def product(self, key: bytes) -> bytes | None:
        """Return a product by its id as text, or None if it is not known for sure."""
        found = self._known(key) if self._listener.current else None
        self.products_read.hits += found is not None
        return found

    async def products(self, ids: Collection[UUID]) -> dict[UUID, bytes]:
        """Return those of the products that are on sale; what is not known is read, together with what others miss."""
        known = {id_: found for id_ in ids if (found := self.product(_key(id_)))}
        missed = [id_ for id_ in ids if id_ not in known]
        self.products_read.misses += len(missed)
        return {**known, **await self._misses(missed)} if missed else known

    def page(self, request: bytes) -> bytes | None:
        """Return the response to a serialized list request, or None if the page or one of its products is not known for sure."""
        now = self.now
        page = self._page(request, now)
        if page is None:
            return None
        if page.read.stock != now.stock:
            products = [self._known(key) for key in page.keys]
            if None in products:
                return None
            page.whole, page.read = response(products, page.rest), now  # type: ignore[arg-type] # no None is left in there
        self.pages_read.hits += 1
        return page.whole

    async def refreshed_page(self, request: bytes) -> bytes | None:
        """Return the response to a list request of which it is known which products it holds, though not all of these, or None."""
        self.pages_read.misses += 1
        page = self._page(request, self.now)
        if page is None:
            return None
        ids = [UUID(key.decode()) for key in page.keys]
        products = await self.products(ids)
        return response([products[id_] for id_ in ids], page.rest) if len(products) == len(ids) else None

    def keep_products(self, products: Products, read: Moment) -> None:
        """Remember products that were read at a moment, unless any has changed since."""
        if not self._products.maxsize:
            return
        kept = {(key := _key(id_)): _Product(product, self._revisions.of(slot(key))) for id_, product in products.items()}
        if read.stock == self._revisions.of(STOCK):
            self._products.update(kept)

    def keep_page(self, request: bytes, ids: Iterable[UUID], rest: bytes, whole: bytes, read: Moment, *, in_stock: bool) -> None:
        """Remember the page that answers a serialized request, unless one is too long; `rest` is its response without the products."""
        if self._pages.maxsize and len(request) <= REQUEST_MAX and len(whole) <= PAGE_MAX:
            self._pages[request] = _Page(tuple(map(_key, ids)), rest, whole, read, in_stock)

    def changed(self, *product_ids: UUID) -> None:
        """Tell that the stock of products has changed, before anybody is answered so.

        Before the products, or what was read earlier could be kept with their new revisions; and after them, or a page could be put
        together of old ones.
        """
        if product_ids:
            self._revisions.tell([STOCK, *_slots(product_ids), STOCK])

    def relisted(self, *product_ids: UUID) -> None:
        """Tell that products have changed, and which of them lists hold."""
        self._revisions.tell([STOCK, *_slots(product_ids), LISTING, STOCK])

    def _heard_of_stock(self, product_id: str) -> None:
        self._revisions.hear([slot(product_id.encode()), STOCK])

    def _heard_of_listing(self, product_id: str) -> None:
        self._revisions.hear([slot(product_id.encode()), LISTING, STOCK])

    def _known(self, key: bytes) -> bytes | None:
        found = self._products.get(key)
        return found.content if found and found.revision == self._revisions.of(slot(key)) else None

    def _page(self, request: bytes, now: Moment) -> _Page | None:
        """Return a page that still holds what it did, though what it holds may have changed."""
        page = self._pages.get(request) if self._listener.current else None
        if page is None or page.read.listing != now.listing or (page.in_stock and page.read.stock != now.stock):
            return None
        return page

    async def _serve(self, calls: Sequence[Collection[UUID]]) -> list[Products]:
        """Read what several calls miss."""
        missed = {id_: self._revisions.of(slot(_key(id_))) for ids in calls for id_ in ids}
        found = await self._load(missed)
        if self._products.maxsize:
            self._products.update({_key(id_): _Product(product, missed[id_]) for id_, product in found.items()})
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


def _slots(product_ids: Iterable[UUID]) -> list[int]:
    return [slot(_key(id_)) for id_ in product_ids]
