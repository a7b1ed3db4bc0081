"""The variants in lists of products: conditions on them, the groups of a collapsed list, and facets."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache, partial

from mercato.v1 import catalog_pb2
from mercato_server.cache.catalog_cache import CatalogCache, LoadedPage
from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import Deleted, ProductFilter
from mercato_server.domain.variant_filters import ALL_VARIANTS, VariantFilter
from mercato_server.store import facets
from mercato_server.store.listed_groups import ListedGroup
from mercato_server.validation import variant_filters
from mercato_server.validation.checks import Checks

KEPT_MAX = 1_024
"""Most characters of the options of a group whose serialized form is kept, so that all kept ones have at most thirty megabytes.

With the ids of up to 73 variants, and four bytes for each character, a group has 14 KB.
"""


def conditions(check: Checks, request: catalog_pb2.ListProductsRequest, deleted: Deleted) -> VariantFilter:
    """Return the conditions of a list on variants."""
    wanted = VariantFilter(
        choices=variant_filters.choices(check, "options", request.options),
        group_id=check.optional_uuid("group_id", request.group_id),
        collapse=request.collapse,
    )
    for field in ("collapse", "facets", "options", "group_id") if deleted is not Deleted.HIDDEN else ():
        if getattr(request, field):
            check.fail(field, "must be empty, since a list with deleted products has all of them")
    if request.group_id and request.q:
        check.fail("group_id", "must be empty, since a search is not limited to a group")
    return wanted


def arguments(wanted: VariantFilter) -> str:
    """Return the text that represents the conditions in page tokens; empty without any, so that tokens of other lists stay the same."""
    return "" if wanted == ALL_VARIANTS else f" {wanted}"


def groups(found: Iterable[ListedGroup], currency: str) -> bytes:
    """Return the serialized groups of a response, which may be concatenated with its other fields."""
    return b"".join([_group(each, currency) if len(each.options) <= KEPT_MAX else _group.__wrapped__(each, currency) for each in found])


@lru_cache(maxsize=2_048)
def _group(group: ListedGroup, currency: str) -> bytes:
    """Return a response with a group. The same groups are on many lists, mostly with the same variants in stock."""
    response = catalog_pb2.ListProductsResponse()
    message = response.groups.add(
        group_id=str(group.id), name=group.name, variants=len(group.variant_ids), variants_in_stock=len(group.in_stock)
    )
    message.min_price.currency_code = message.max_price.currency_code = currency
    message.min_price.minor_units = group.min_price_minor
    message.max_price.minor_units = group.max_price_minor
    for name, values in group.values_in_stock().items():
        message.in_stock.add(name=name, values=values)
    return response.SerializeToString()


async def counted(pool: "Pool", cache: CatalogCache, wanted: ProductFilter, spelling: str | None) -> LoadedPage:
    """Return the facets of a list, from memory if nothing has changed since they were counted.

    The order and the pages of a list make no difference to them, nor does whether it is collapsed.
    """
    key = f"facets {wanted} {wanted.variants.choices} {wanted.variants.group_id} {spelling}"
    return await cache.part(hashlib.sha256(key.encode()).digest(), partial(_count, pool, wanted, spelling))


async def _count(pool: "Pool", wanted: ProductFilter, spelling: str | None) -> LoadedPage:
    found = await facets.read(pool, wanted, spelling)
    response = catalog_pb2.ListProductsResponse(facets_at_least=found.at_least)
    for facet in found.facets:
        message = response.facets.add(name=facet.name)
        for value, groups, selected in facet.values:
            message.values.add(value=value, count=groups, selected=selected)
    return LoadedPage({}, response.SerializeToString(), found.snapshot, in_stock=wanted.in_stock)
