"""The RPCs of CatalogService."""

import functools
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from mercato.v1 import catalog_pb2
from mercato_server.cache.catalog_cache import CatalogCache, Loaded, LoadedPage, response
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import (
    BY_CREATION,
    BY_NAME,
    CATEGORY_NAME_MAX,
    QUERY_MAX,
    STOCK_MAX,
    CategoryDraft,
    Deleted,
    Product,
    ProductDraft,
    ProductFilter,
    ProductOrder,
)
from mercato_server.domain.category_errors import SlugNotFound
from mercato_server.domain.errors import ProductNotFound, ResponseTooLarge
from mercato_server.domain.orders import REASON_MAX
from mercato_server.domain.paging import Page
from mercato_server.domain.search_documents import RULE_VERSION
from mercato_server.domain.slugs import SlugKind, is_slug
from mercato_server.handlers import convert, product_drafts, variant_lists
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked, replace_by_put
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.product_groups import ProductGroupRpcs
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import catalog, categories, product_groups, product_lists, slugs
from mercato_server.validation import drafts
from mercato_server.validation.checks import Checks

# Fields of the message, with their fields in a draft.
WRITABLE = {
    "name": "name",
    "description": "description",
    "description_html": "description_html",
    "price": "price_minor",
    "category_id": "category_id",
    "sku": "sku",
    "stock": "stock",
    "image_urls": "image_urls",
    "tax_category": "tax_category",
    "needs_delivery": "needs_delivery",
    "weight_grams": "weight_grams",
    "slug": "slug",
    "group_id": "group_id",
    "options": "options",
}
CATEGORY_FIELDS = ("name", "parent_id", "slug", "position", "description")
"""Fields of a category that callers may change."""
ID_FIELD = b"\x0a\x24"
"""The first bytes of a serialized request whose field 1 is a text of 36 bytes."""
ORDERS = {order.value: order for order in ProductOrder if order is not ProductOrder.RELEVANCE} | {
    f"{order.value}, create_time{' desc' if order.descending else ''}": order
    for order in (ProductOrder.CHEAPEST, ProductOrder.DEAREST, ProductOrder.NAME, ProductOrder.NAME_DESCENDING)
}
"""The values of `order_by`. Indexes have an id behind price and name, and ids are in the order of creation."""
_BY_KEYS = f" by name keys of rule {RULE_VERSION}"
"""Part of the text that represents a list by name in page tokens: pages of another order do not go on in this one."""
_CATEGORIES = "categories" + _BY_KEYS

Draft = TypeVar("Draft", ProductDraft, CategoryDraft)


class CatalogHandler(ProductGroupRpcs):
    """Reads and changes products, stock and categories, and groups of products."""

    def __init__(self, pool: "Pool", pager: Pager, idempotency: Idempotency, settings: Settings, cache: CatalogCache) -> None:
        super().__init__(pool, pager, idempotency, settings)
        self.cached = {"GetProduct": self._cached_product, "ListProducts": cache.known_page}
        self._cache = cache
        self._limits = settings.limits

    async def ListProducts(self, request: catalog_pb2.ListProductsRequest, context: Context) -> Answer:
        """List products on sale, and deleted ones for administrators."""
        if request.show_deleted or request.only_deleted:
            await context.require_admin()
        with Checks() as check:
            self._pager.check(check, request, skip=request.skip)
            wanted, order = _filter(check, request)
        query = f"products {wanted} {order}" + ("" if wanted.deleted is Deleted.HIDDEN else f" {wanted.deleted}")
        query += variant_lists.arguments(wanted.variants)
        if order in BY_NAME:
            query += _BY_KEYS
        page = self._pager.page(request, query, skip=request.skip)
        load = functools.partial(self._load, wanted, order, page, query, counted=request.include_total_size, facets=request.facets)
        if wanted.deleted is not Deleted.HIDDEN:  # the cache would serve the deleted products to everyone
            loaded = await load()
            return response(loaded.products.values(), loaded.rest)
        key = request.SerializeToString() if page.after is None and not page.skip else None
        return await self._cache.page(key, load)

    async def GetProduct(self, request: catalog_pb2.GetProductRequest, context: Context) -> Answer:
        """Return a product on sale; for an administrator also a deleted one."""
        if request.show_deleted:
            await context.require_admin()
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
        if request.show_deleted:
            return self._product(await catalog.get_any(self._pool, product_id))
        return _all_of(await self._cache.products([product_id]), [product_id])[0]

    async def BatchGetProducts(self, request: catalog_pb2.BatchGetProductsRequest, _context: Context) -> Answer:
        """Return several products on sale."""
        with Checks() as check:
            if not 1 <= len(request.ids) <= self._limits.batch_get_max:
                check.fail("ids", "must have 1 to {most} entries", most=self._limits.batch_get_max)
            ids = [check.uuid(f"ids[{index}]", value) for index, value in enumerate(request.ids[: self._limits.batch_get_max])]
        whole = response(_all_of(await self._cache.products(set(ids)), ids))
        if len(whole) > self._limits.response_bytes:
            raise ResponseTooLarge("ids", len(whole), self._limits.response_bytes)
        return whole

    async def CreateProduct(self, request: catalog_pb2.CreateProductRequest, context: Context) -> Answer:
        """Create a product."""
        product = request.product
        with Checks() as check:
            draft = self._draft(check, product, WRITABLE)
        draft = _without_copied_slug(draft, product.id)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.create(self._pool, draft, context.actor, key), self._product)

    async def UpdateProduct(self, request: catalog_pb2.UpdateProductRequest, context: Context) -> Answer:
        """Change a product."""
        product = request.product
        replace_by_put(context, request.update_mask)
        with Checks() as check:
            product_id = check.uuid("product.id", product.id)
            etags = expected_etags(check, context, "product.etag", product.etag)
            fields = masked(check, request.update_mask, product, WRITABLE)
            if "stock" in request.update_mask.paths and not product.HasField("stock"):
                check.fail("product.stock", "is required, since update_mask names it")
            draft = self._draft(check, product, fields)
        columns = product_drafts.with_text([WRITABLE[field] for field in fields], product)
        change = catalog.Update(product_id=product_id, draft=draft, fields=columns, etags=etags, actor=context.actor)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.update(self._pool, change, key), self._product)

    async def DeleteProduct(self, request: catalog_pb2.DeleteProductRequest, context: Context) -> Answer:
        """Take a product off sale."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.delete(self._pool, product_id, etags, context.actor, key), self._product)

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
            for field in ("expected_stock", "stock") if request.HasField("compare_and_set") else ():
                if check.present(change, field, f"compare_and_set.{field}"):
                    check.between(f"compare_and_set.{field}", getattr(change, field), 0, STOCK_MAX)
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

    async def ListCategories(self, request: catalog_pb2.ListCategoriesRequest, _context: Context) -> Answer:
        """List all categories by name, or those of one parent by position."""
        with Checks() as check:
            self._pager.check(check, request)
            parent_id = check.optional_uuid("parent_id", request.parent_id)
            if parent_id and request.roots:
                check.fail("roots", "must be false if parent_id is given")
        query, read = _CATEGORIES, functools.partial(categories.categories, self._pool)
        if parent_id or request.roots:
            query, read = f"{_CATEGORIES} below {parent_id}", functools.partial(categories.subcategories, self._pool, parent_id)
        return await self._pager.listed(request, query, read, convert.category, catalog_pb2.ListCategoriesResponse)

    async def GetCategory(self, request: catalog_pb2.GetCategoryRequest, _context: Context) -> catalog_pb2.Category:
        """Return a category."""
        with Checks() as check:
            category_id = check.uuid("category_id", request.category_id)
        return convert.category(await categories.get(self._pool, category_id))

    async def CreateCategory(self, request: catalog_pb2.CreateCategoryRequest, context: Context) -> Answer:
        """Create a category."""
        with Checks() as check:
            draft = _category_draft(check, request.category, CATEGORY_FIELDS)
        draft = _without_copied_slug(draft, request.category.id)
        key = self._idempotency.key(context, request, convert.category)
        return answer(context, await categories.create(self._pool, draft, context.actor, key), convert.category)

    async def UpdateCategory(self, request: catalog_pb2.UpdateCategoryRequest, context: Context) -> Answer:
        """Change a category."""
        category = request.category
        replace_by_put(context, request.update_mask)
        with Checks() as check:
            category_id = check.uuid("category.id", category.id)
            etags = expected_etags(check, context, "category.etag", category.etag)
            fields = masked(check, request.update_mask, category, CATEGORY_FIELDS)
            draft = _category_draft(check, category, fields)
        key = self._idempotency.key(context, request, convert.category)
        change = categories.Update(category_id=category_id, draft=draft, fields=fields, etags=etags, actor=context.actor)
        return answer(context, await categories.update(self._pool, change, key), convert.category)

    async def DeleteCategory(self, request: catalog_pb2.DeleteCategoryRequest, context: Context) -> Answer:
        """Delete a category."""
        with Checks() as check:
            category_id = check.uuid("category_id", request.category_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, convert.category)
        return answer(context, await categories.delete(self._pool, category_id, etags, context.actor, key), convert.category)

    async def GetSlug(self, request: catalog_pb2.GetSlugRequest, context: Context) -> catalog_pb2.GetSlugResponse:
        """Return the thing that has a slug or had it last; over REST lead to its current slug."""
        kind = next((kind for kind in SlugKind if kind.value == request.kind), SlugKind.CATEGORY)
        with Checks() as check:
            if kind.value != request.kind:
                check.fail("kind", "must be one of: {allowed}", allowed=", ".join(SlugKind))
            if not is_slug(request.slug):
                check.fail("slug", "must be a slug such as running-shoes")
        things = {SlugKind.CATEGORY: self._category_of, SlugKind.PRODUCT: self._product_of, SlugKind.GROUP: self._group_of}
        found = await things[kind](request.slug)
        current = getattr(found, found.WhichOneof("thing") or "").slug
        if current and current != request.slug:
            context.redirect(f"/v1/slugs/{kind.value}/{current}")
        return found

    async def _category_of(self, slug: str) -> catalog_pb2.GetSlugResponse:
        return catalog_pb2.GetSlugResponse(category=convert.category(await categories.by_slug(self._pool, slug)))

    async def _product_of(self, slug: str) -> catalog_pb2.GetSlugResponse:
        product_id = await slugs.resolve(self._pool, SlugKind.PRODUCT, slug)
        found = (await self._cache.products([product_id])).get(product_id)
        if found is None:  # deleted
            raise SlugNotFound(SlugKind.PRODUCT, slug)
        return catalog_pb2.GetSlugResponse(product=catalog_pb2.Product.FromString(found))

    async def _group_of(self, slug: str) -> catalog_pb2.GetSlugResponse:
        found = await product_groups.by_slug(self._pool, slug)
        return catalog_pb2.GetSlugResponse(group=convert.product_group(found, self._currency))

    async def _load(self, wanted: ProductFilter, order: ProductOrder, page: Page, query: str, *, counted: bool, facets: bool) -> LoadedPage:
        """Read a page of a list; `counted` also counts the list, and `facets` the options of its variants."""
        listed, rows = await self._pager.fitting(page, lambda page: product_lists.products(self._pool, wanted, order, page), self._product)
        found, last, snapshot, groups, spelling = listed
        size = await product_lists.count(self._pool, wanted, self._limits.total_size_max, spelling) if counted else None
        token = self._pager.next_token(last, query)
        rest = catalog_pb2.ListProductsResponse(next_page_token=token, total_size=size, corrected_q=spelling or "")
        grouped = variant_lists.groups(groups, self._currency)
        products = {product.id: row for product, row in zip(found, rows, strict=True)}
        variant_ids = frozenset[str]().union(*(group.variant_ids for group in groups))
        loaded = LoadedPage(products, rest.SerializeToString() + grouped, snapshot, wanted.in_stock, variant_ids)
        return loaded.with_part(await variant_lists.counted(self._pool, self._cache, wanted, spelling)) if facets else loaded

    def _product(self, product: Product) -> catalog_pb2.Product:
        return convert.product(product, self._currency, self._pictures_url)

    def _cached_product(self, request: bytes) -> bytes | None:
        """Return the cached response to GetProduct; the request has one field, the id, whose bytes are the key."""
        return self._cache.known_product(request[2:]) if request[:2] == ID_FIELD else None

    def _draft(self, check: Checks, product: catalog_pb2.Product, fields: Collection[str]) -> ProductDraft:
        return product_drafts.checked(check, "product.", product, fields, self._currency, self._pictures_url)


def _without_copied_slug(draft: Draft, given_id: str) -> Draft:
    """Return the draft of a new thing. A request with an id was read from another thing, which has the slug of the request."""
    return replace(draft, slug=None) if given_id else draft


def _category_draft(check: Checks, category: catalog_pb2.Category, fields: Collection[str]) -> CategoryDraft:
    """Check the writable fields of a category; the name only if it is in `fields`."""
    draft = CategoryDraft(
        name=check.line("category.name", category.name, shortest=1, longest=CATEGORY_NAME_MAX) if "name" in fields else "",
        parent_id=check.optional_uuid("category.parent_id", category.parent_id),
        slug=category.slug,
        position=category.position,
        description=category.description,
    )
    return drafts.checked_category(check, "category.", draft)


async def serialized(pool: "Pool", settings: Settings, product_ids: Collection[UUID]) -> Loaded:
    """Return the products on sale among the ids as serialized messages."""
    products, snapshot = await catalog.get(pool, product_ids)
    currency, base = settings.currency, settings.pictures.url
    return Loaded({product.id: convert.product(product, currency, base).SerializeToString() for product in products}, snapshot)


def _filter(check: Checks, request: catalog_pb2.ListProductsRequest) -> tuple[ProductFilter, ProductOrder]:
    category_id = check.optional_uuid("category_id", request.category_id)
    query = check.text("q", request.q, longest=QUERY_MAX)
    for field in ("min_price", "max_price"):
        if request.HasField(field) and getattr(request, field) < 0:
            check.fail(field, "must not be negative")
    deleted = Deleted.ONLY if request.only_deleted else Deleted.SHOWN if request.show_deleted else Deleted.HIDDEN
    orders = ORDERS if deleted is Deleted.HIDDEN else {text: order for text, order in ORDERS.items() if order in BY_CREATION}
    order_by = ", ".join(" ".join(field.split()) for field in request.order_by.split(","))
    if order_by and order_by not in orders:
        check.fail("order_by", "must be one of: {allowed}", allowed="; ".join(orders))
    if query and deleted is not Deleted.HIDDEN:
        check.fail("q", "must be empty, since a search finds no deleted products")
    default = ProductOrder.RELEVANCE if query else ProductOrder.NEWEST
    wanted = ProductFilter(
        category_id=category_id,
        query=query or None,
        min_price_minor=request.min_price if request.HasField("min_price") else None,
        max_price_minor=request.max_price if request.HasField("max_price") else None,
        in_stock=request.in_stock,
        deleted=deleted,
        variants=variant_lists.conditions(check, request, deleted),
    )
    return wanted, ORDERS.get(order_by, default)


def _all_of(found: dict[UUID, bytes], ids: list[UUID]) -> list[bytes]:
    """Return the products in the order of the ids; raises ProductNotFound with all that are absent."""
    absent = [product_id for product_id in dict.fromkeys(ids) if product_id not in found]
    if absent:
        raise ProductNotFound(*absent)
    return [found[product_id] for product_id in ids]
