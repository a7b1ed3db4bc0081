"""The RPCs of CatalogService for groups of products."""

from collections.abc import Collection
from dataclasses import replace

from mercato.v1 import catalog_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.group_upserts import Rules, VariantDraft
from mercato_server.domain.product_groups import GROUP_CODE_MAX, VARIANTS_MAX, GroupDraft, WholeGroup
from mercato_server.handlers import convert, product_drafts
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import ETAG_MAX, expected_etags
from mercato_server.store import group_upserts, product_groups
from mercato_server.validation import product_groups as validation
from mercato_server.validation.checks import Checks

GROUP_FIELDS = ("name", "code", "varies_by", "slug")
"""Fields of a group that callers may change."""
VARIANT_FIELDS = ("name", "price", "description_html")
"""Fields of a product in an upsert of those that `product_drafts.checked` reads only if they are named; it needs name and price."""


class ProductGroupRpcs:
    """Reads and changes groups, and writes groups with their variants."""

    def __init__(self, pool: "Pool", pager: Pager, idempotency: Idempotency, settings: Settings) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = idempotency
        self._currency = settings.currency
        self._pictures_url = settings.pictures.url

    async def ListProductGroups(self, request: catalog_pb2.ListProductGroupsRequest, context: Context) -> Answer:
        """List groups with variants on sale, and empty ones for administrators."""
        if request.show_empty:
            await context.require_admin()
        with Checks() as check:
            self._pager.check(check, request)
            code = check.code("code", request.code, longest=GROUP_CODE_MAX)
        return await self._pager.listed(
            request,
            f"product groups {code!r} {request.show_empty}",
            lambda page: product_groups.groups(self._pool, page, code, empty=request.show_empty),
            self._group,
            catalog_pb2.ListProductGroupsResponse,
        )

    async def GetProductGroup(self, request: catalog_pb2.GetProductGroupRequest, _context: Context) -> catalog_pb2.ProductGroup:
        """Return a group with its variants."""
        with Checks() as check:
            group_id = check.uuid("group_id", request.group_id)
        return self._group(await product_groups.get(self._pool, group_id))

    async def CreateProductGroup(self, request: catalog_pb2.CreateProductGroupRequest, context: Context) -> Answer:
        """Create a group."""
        with Checks() as check:
            draft = _draft(check, request.group, GROUP_FIELDS)
        if request.group.id:  # it was read from another group, which has the slug
            draft = replace(draft, slug=None)
        key = self._idempotency.key(context, request, self._group)
        return answer(context, await product_groups.create(self._pool, draft, context.actor, key), self._group)

    async def UpdateProductGroup(self, request: catalog_pb2.UpdateProductGroupRequest, context: Context) -> Answer:
        """Change a group."""
        group = request.group
        with Checks() as check:
            group_id = check.uuid("group.id", group.id)
            etags = expected_etags(check, context, "group.etag", group.etag)
            fields = masked(check, request.update_mask, group, GROUP_FIELDS)
            draft = _draft(check, group, fields)
        values = {"name": draft.name, "code": draft.code, "varies_by": list(draft.varies_by), "slug": draft.slug}
        wanted = {field: values[field] for field in fields}
        key = self._idempotency.key(context, request, self._group)
        return answer(context, await product_groups.update(self._pool, group_id, wanted, etags, context.actor, key), self._group)

    async def DeleteProductGroup(self, request: catalog_pb2.DeleteProductGroupRequest, context: Context) -> Answer:
        """Delete a group."""
        with Checks() as check:
            group_id = check.uuid("group_id", request.group_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, self._group)
        return answer(context, await product_groups.delete(self._pool, group_id, etags, context.actor, key), self._group)

    async def UpsertProductGroup(self, request: catalog_pb2.UpsertProductGroupRequest, context: Context) -> Answer:
        """Write a group with its variants."""
        group = request.group
        with Checks() as check:
            if len(request.variants) > VARIANTS_MAX:
                check.fail("variants", "must have at most {most} entries", most=VARIANTS_MAX)
            wanted = group_upserts.Upsert(
                group_id=check.optional_uuid("group.id", group.id),
                draft=_draft(check, group, GROUP_FIELDS),
                variants=[self._variant(check, index, each) for index, each in enumerate(request.variants[:VARIANTS_MAX])],
                rules=Rules(request.delete_others, request.reorder),
                etags=expected_etags(check, context, "group.etag", group.etag),
                actor=context.actor,
            )
        key = self._idempotency.key(context, request, self._group)
        return answer(context, await group_upserts.upsert(self._pool, wanted, key), self._group)

    def _group(self, found: WholeGroup) -> catalog_pb2.ProductGroup:
        return convert.product_group(found, self._currency)

    def _variant(self, check: Checks, index: int, product: catalog_pb2.Product) -> VariantDraft:
        prefix = f"variants[{index}]."
        etag = check.text(f"{prefix}etag", product.etag, longest=ETAG_MAX)
        draft = product_drafts.checked(check, prefix, product, VARIANT_FIELDS, self._currency, self._pictures_url)
        return VariantDraft(check.optional_uuid(f"{prefix}id", product.id), draft, [etag] if etag else [])


def _draft(check: Checks, group: catalog_pb2.ProductGroup, fields: Collection[str]) -> GroupDraft:
    draft = GroupDraft(name=group.name, code=group.code, varies_by=tuple(group.varies_by), slug=group.slug)
    return validation.draft(check, "group.", draft, fields)
