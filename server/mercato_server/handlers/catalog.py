"""The RPCs of CatalogService."""

from collections.abc import Collection
from dataclasses import replace
from uuid import UUID

from mercato.v1 import catalog_pb2
from mercato_server.cache.catalog_cache import CatalogCache, Loaded, LoadedPage, response
from mercato_server.config.settings import Limits
from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import (
    CATEGORY_NAME_MAX,
    QUERY_MAX,
    STOCK_MAX,
    Product,
    ProductDraft,
    ProductFilter,
    ProductOrder,
)
from mercato_server.domain.errors import ProductNotFound
from mercato_server.domain.orders import REASON_MAX
from mercato_server.domain.paging import Page
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.store import catalog, product_lists
from mercato_server.validation import drafts
from mercato_server.validation.checks import Checks

# Fields of the message, with their fields in a draft.
WRITABLE = {
    "name": "name",
    "description": "description",
    "price": "price_minor",
    "category_id": "category_id",
    "sku": "sku",
    "stock": "stock",
    "image_urls": "image_urls",
}
ETAG_MAX = 64
ID_FIELD = b"\x0a\x24"
"""The first bytes of a serialized request whose field 1 is a text of 36 bytes."""
_ORDERS = {order.value: order for order in ProductOrder if order is not ProductOrder.RELEVANCE}


class CatalogHandler:
    """Reads and changes products, stock and categories."""

    def __init__(self, pool: "Pool", pager: Pager, idempotency: Idempotency, limits: Limits, currency: str, cache: CatalogCache) -> None:
        self.cached = {"GetProduct": self._cached_product, "ListProducts": cache.known_page}
        self._cache = cache
        self._pool = pool
        self._pager = pager
        self._idempotency = idempotency
        self._limits = limits
        self._currency = currency

    async def ListProducts(self, request: catalog_pb2.ListProductsRequest, _context: Context) -> Answer:
        """List products on sale."""
        with Checks() as check:
            self._pager.check(check, request, skip=request.skip)
            wanted, order = _filter(check, request)
        query = f"products {wanted} {order}"
        page = self._pager.page(request, query, skip=request.skip)
        key = request.SerializeToString() if page.after is None and not page.skip else None
        return await self._cache.page(key, lambda: self._load(wanted, order, page, query, counted=request.include_total_size))

    async def GetProduct(self, request: catalog_pb2.GetProductRequest, _context: Context) -> Answer:
        """Return a product on sale."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
        return _all_of(await self._cache.products([product_id]), [product_id])[0]

    async def BatchGetProducts(self, request: catalog_pb2.BatchGetProductsRequest, _context: Context) -> Answer:
        """Return several products on sale."""
        with Checks() as check:
            if not 1 <= len(request.ids) <= self._limits.batch_get_max:
                check.fail("ids", f"must have 1 to {self._limits.batch_get_max} entries")
            ids = [check.uuid(f"ids[{index}]", value) for index, value in enumerate(request.ids[: self._limits.batch_get_max])]
        return response(_all_of(await self._cache.products(set(ids)), ids))

    async def CreateProduct(self, request: catalog_pb2.CreateProductRequest, context: Context) -> Answer:
        """Create a product."""
        product = request.product
        with Checks() as check:
            for field in ("id", "etag", "create_time", "update_time", "delete_time"):
                check.absent(f"product.{field}", present=field in _populated(product))
            draft = self._draft(check, product, WRITABLE)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.create(self._pool, draft, context.actor, key), self._product)

    async def UpdateProduct(self, request: catalog_pb2.UpdateProductRequest, context: Context) -> Answer:
        """Change a product."""
        product = request.product
        if context.metadata("x-envoy-original-method") == "PUT" and not request.update_mask.paths:
            request.update_mask.paths.append("*")  # a PUT replaces all fields; for an idempotency key it is another request than PATCH
        with Checks() as check:
            product_id = check.uuid("product.id", product.id)
            etag = check.text("product.etag", product.etag, longest=ETAG_MAX)
            fields = _fields(check, request)
            draft = self._draft(check, product, fields)
        columns = [WRITABLE[field] for field in fields]
        change = catalog.Update(product_id=product_id, draft=draft, fields=columns, etag=etag or None, actor=context.actor)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.update(self._pool, change, key), self._product)

    async def DeleteProduct(self, request: catalog_pb2.DeleteProductRequest, context: Context) -> Answer:
        """Take a product off sale."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            etag = check.text("etag", request.etag, longest=ETAG_MAX)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.delete(self._pool, product_id, etag or None, context.actor, key), self._product)

    async def UndeleteProduct(self, request: catalog_pb2.UndeleteProductRequest, context: Context) -> Answer:
        """Put a deleted product back on sale."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.undelete(self._pool, product_id, context.actor, key), self._product)

    async def AdjustStock(self, request: catalog_pb2.AdjustStockRequest, context: Context) -> Answer:
        """Change the stock of a product."""
        change = request.compare_and_set
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            reason = check.text("reason", request.reason, longest=REASON_MAX)
            check.between("compare_and_set.expected_stock", change.expected_stock, 0, STOCK_MAX)
            check.between("compare_and_set.stock", change.stock, 0, STOCK_MAX)
            check.between("delta", request.delta, -STOCK_MAX, STOCK_MAX)
            if not request.delta and not request.HasField("compare_and_set"):
                check.fail("delta", "must not be 0; send delta or compare_and_set")
        wanted = catalog.StockChange(
            product_id=product_id,
            actor=context.actor,
            reason=reason,
            delta=request.delta,
            stock=change.stock if request.HasField("compare_and_set") else None,
            expected=change.expected_stock if request.HasField("compare_and_set") else None,
        )
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.adjust_stock(self._pool, wanted, key), self._product)

    async def ListCategories(self, request: catalog_pb2.ListCategoriesRequest, _context: Context) -> catalog_pb2.ListCategoriesResponse:
        """List categories by name."""
        with Checks() as check:
            self._pager.check(check, request)
        found, last = await catalog.categories(self._pool, self._pager.page(request, "categories"))
        return catalog_pb2.ListCategoriesResponse(
            categories=[convert.category(category) for category in found], next_page_token=self._pager.next_token(last, "categories")
        )

    async def GetCategory(self, request: catalog_pb2.GetCategoryRequest, _context: Context) -> catalog_pb2.Category:
        """Return a category."""
        with Checks() as check:
            category_id = check.uuid("category_id", request.category_id)
        return convert.category(await catalog.get_category(self._pool, category_id))

    async def CreateCategory(self, request: catalog_pb2.CreateCategoryRequest, context: Context) -> Answer:
        """Create a category."""
        with Checks() as check:
            check.absent("category.id", present=bool(request.category.id))
            check.absent("category.create_time", present=request.category.HasField("create_time"))
            name = check.text("category.name", request.category.name, shortest=1, longest=CATEGORY_NAME_MAX)
        key = self._idempotency.key(context, request, convert.category)
        return answer(context, await catalog.create_category(self._pool, name, context.actor, key), convert.category)

    async def UpdateCategory(self, request: catalog_pb2.UpdateCategoryRequest, context: Context) -> Answer:
        """Rename a category."""
        with Checks() as check:
            category_id = check.uuid("category.id", request.category.id)
            name = check.text("category.name", request.category.name, shortest=1, longest=CATEGORY_NAME_MAX)
        key = self._idempotency.key(context, request, convert.category)
        return answer(context, await catalog.update_category(self._pool, category_id, name, context.actor, key), convert.category)

    async def DeleteCategory(self, request: catalog_pb2.DeleteCategoryRequest, context: Context) -> Answer:
        """Delete a category."""
        with Checks() as check:
            category_id = check.uuid("category_id", request.category_id)
        key = self._idempotency.key(context, request, convert.category)
        return answer(context, await catalog.delete_category(self._pool, category_id, context.actor, key), convert.category)

    async def _load(self, wanted: ProductFilter, order: ProductOrder, page: Page, query: str, *, counted: bool) -> LoadedPage:
        """Read a page of a list; `counted` also counts the list."""
        found, last, snapshot, spelling = await product_lists.products(self._pool, wanted, order, page)
        size = await product_lists.count(self._pool, wanted, self._limits.total_size_max, spelling) if counted else None
        token = self._pager.next_token(last, query)
        rest = catalog_pb2.ListProductsResponse(next_page_token=token, total_size=size, corrected_q=spelling or "")
        products = {product.id: self._product(product).SerializeToString() for product in found}
        return LoadedPage(products, rest.SerializeToString(), snapshot, in_stock=wanted.in_stock)

    def _product(self, product: Product) -> catalog_pb2.Product:
        return convert.product(product, self._currency)

    def _cached_product(self, request: bytes) -> bytes | None:
        """Return the cached response to GetProduct; the request has one field, the id, whose bytes are the key."""
        return self._cache.known_product(request[2:]) if request[:2] == ID_FIELD else None

    def _draft(self, check: Checks, product: catalog_pb2.Product, fields: Collection[str]) -> ProductDraft:
        """Check the writable fields of a product; fields that are not in `fields` keep the draft's defaults."""
        draft = ProductDraft(
            name=drafts.named(check, "product.", product.name) if "name" in fields else "",
            description=product.description,
            category_id=check.optional_uuid("product.category_id", product.category_id),
            sku=product.sku,
            stock=product.stock if product.HasField("stock") else None,
            image_urls=tuple(product.image_urls),
        )
        if "price" in fields:
            price = check.money("product.price", product.price, self._currency, present=product.HasField("price"))
            draft = replace(draft, price_minor=price)
        return drafts.checked(check, "product.", draft)


async def serialized(pool: "Pool", currency: str, product_ids: Collection[UUID]) -> Loaded:
    """Return the products on sale among the ids as serialized messages."""
    products, snapshot = await catalog.get(pool, product_ids)
    return Loaded({product.id: convert.product(product, currency).SerializeToString() for product in products}, snapshot)


def _filter(check: Checks, request: catalog_pb2.ListProductsRequest) -> tuple[ProductFilter, ProductOrder]:
    category_id = check.optional_uuid("category_id", request.category_id)
    query = check.text("q", request.q, longest=QUERY_MAX)
    for field in ("min_price", "max_price"):
        if request.HasField(field) and getattr(request, field) < 0:
            check.fail(field, "must not be negative")
    order_by = " ".join(request.order_by.split())
    if order_by and order_by not in _ORDERS:
        check.fail("order_by", f"must be one of: {', '.join(_ORDERS)}")
    default = ProductOrder.RELEVANCE if query else ProductOrder.NEWEST
    wanted = ProductFilter(
        category_id=category_id,
        query=query or None,
        min_price_minor=request.min_price if request.HasField("min_price") else None,
        max_price_minor=request.max_price if request.HasField("max_price") else None,
        in_stock=request.in_stock,
    )
    return wanted, _ORDERS.get(order_by, default)


def _populated(product: catalog_pb2.Product) -> set[str]:
    return {field.name for field, _ in product.ListFields()}


def _fields(check: Checks, request: catalog_pb2.UpdateProductRequest) -> list[str]:
    """Return the fields that an update writes (AIP-134)."""
    mask = list(request.update_mask.paths)
    if mask == ["*"]:
        return list(WRITABLE)
    if not mask:
        return [field for field in WRITABLE if field in _populated(request.product)]
    for path in mask:
        if path not in WRITABLE:
            check.fail("update_mask", f"{path!r} cannot be changed; use {', '.join(WRITABLE)} or *")
    if "stock" in mask and not request.product.HasField("stock"):
        check.fail("product.stock", "is required, since update_mask names it")
    return [field for field in WRITABLE if field in mask]


def _all_of(found: dict[UUID, bytes], ids: list[UUID]) -> list[bytes]:
    """Return the products in the order of the ids; raises ProductNotFound with all that are absent."""
    absent = [product_id for product_id in dict.fromkeys(ids) if product_id not in found]
    if absent:
        raise ProductNotFound(*absent)
    return [found[product_id] for product_id in ids]
