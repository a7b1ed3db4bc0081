"""The RPCs of TaxService."""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from mercato.v1 import tax_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.moments import EARLIEST, LATEST
from mercato_server.domain.tax_rates import PARTS_MAX, RateDraft
from mercato_server.domain.taxes import TaxPart
from mercato_server.handlers import convert_taxes
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import tax_categories, tax_rates
from mercato_server.validation import places
from mercato_server.validation import tax_rates as validation
from mercato_server.validation.checks import Checks

TAX_CATEGORY_FIELDS = ("display_name",)
"""Fields of a tax category that administrators may change."""
TAX_RATE_FIELDS = ("name", "parts", "valid_from", "valid_until")
"""Fields of a tax rate that administrators may change; a draft has the same names."""
FIXED_FIELDS = {"country_code": "country_code", "region": "region", "tax_category": "category", "rate_ppm": "ppm"}
"""Fields of a tax rate that never change, with their names in a draft."""


class TaxHandler:
    """Reads and changes tax categories and tax rates for administrators."""

    def __init__(self, pool: "Pool", pager: Pager, keys: Idempotency) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = keys

    async def ListTaxCategories(self, request: tax_pb2.ListTaxCategoriesRequest, _context: Context) -> Answer:
        """List tax categories by id."""
        with Checks() as check:
            self._pager.check(check, request)
        query, archived = f"tax categories {request.show_archived}", request.show_archived
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page,
            query,
            lambda page: tax_categories.categories(self._pool, page, archived=archived),
            convert_taxes.tax_category,
            tax_pb2.ListTaxCategoriesResponse,
        )

    async def GetTaxCategory(self, request: tax_pb2.GetTaxCategoryRequest, _context: Context) -> tax_pb2.TaxCategory:
        """Return a tax category."""
        with Checks() as check:
            category_id = validation.category_id(check, "tax_category_id", request.tax_category_id)
        return convert_taxes.tax_category(await tax_categories.get(self._pool, category_id))

    async def CreateTaxCategory(self, request: tax_pb2.CreateTaxCategoryRequest, context: Context) -> Answer:
        """Create a tax category, or bring an archived one back."""
        with Checks() as check:
            category_id = validation.new_category_id(check, "tax_category_id", request.tax_category_id)
            name = validation.display_name(check, "tax_category.display_name", request.tax_category.display_name)
        key = self._idempotency.key(context, request, convert_taxes.tax_category)
        created = await tax_categories.create(self._pool, category_id, name, context.actor, key)
        return answer(context, created, convert_taxes.tax_category)

    async def UpdateTaxCategory(self, request: tax_pb2.UpdateTaxCategoryRequest, context: Context) -> Answer:
        """Change a tax category."""
        category = request.tax_category
        with Checks() as check:
            category_id = validation.category_id(check, "tax_category.id", category.id)
            etags = expected_etags(check, context, "tax_category.etag", category.etag)
            named = "display_name" in masked(check, request.update_mask, category, TAX_CATEGORY_FIELDS)
            name = validation.display_name(check, "tax_category.display_name", category.display_name) if named else None
        key = self._idempotency.key(context, request, convert_taxes.tax_category)
        changed = await tax_categories.update(self._pool, category_id, name, etags, context.actor, key)
        return answer(context, changed, convert_taxes.tax_category)

    async def ArchiveTaxCategory(self, request: tax_pb2.ArchiveTaxCategoryRequest, context: Context) -> Answer:
        """Archive a tax category."""
        with Checks() as check:
            category_id = validation.category_id(check, "tax_category_id", request.tax_category_id)
        key = self._idempotency.key(context, request, convert_taxes.tax_category)
        archived = await tax_categories.archive(self._pool, category_id, context.actor, key)
        return answer(context, archived, convert_taxes.tax_category)

    async def ListTaxRates(self, request: tax_pb2.ListTaxRatesRequest, _context: Context) -> Answer:
        """List tax rates by place."""
        with Checks() as check:
            self._pager.check(check, request)
            country_code = places.optional_country(check, "country_code", request.country_code)
        query, archived = f"tax rates {country_code} {request.show_archived}", request.show_archived
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page,
            query,
            lambda page: tax_rates.rates(self._pool, country_code, page, archived=archived),
            convert_taxes.tax_rate,
            tax_pb2.ListTaxRatesResponse,
        )

    async def GetTaxRate(self, request: tax_pb2.GetTaxRateRequest, _context: Context) -> tax_pb2.TaxRate:
        """Return a tax rate."""
        with Checks() as check:
            rate_id = check.uuid("tax_rate_id", request.tax_rate_id)
        return convert_taxes.tax_rate(await tax_rates.get(self._pool, rate_id))

    async def CreateTaxRate(self, request: tax_pb2.CreateTaxRateRequest, context: Context) -> Answer:
        """Create a tax rate."""
        with Checks() as check:
            check.present(request.tax_rate, "rate_ppm", "tax_rate.rate_ppm")
            draft = validation.fixed(check, "tax_rate.", _draft(check, request.tax_rate, TAX_RATE_FIELDS))
        key = self._idempotency.key(context, request, convert_taxes.tax_rate)
        return answer(context, await tax_rates.create(self._pool, draft, context.actor, key), convert_taxes.tax_rate)

    async def UpdateTaxRate(self, request: tax_pb2.UpdateTaxRateRequest, context: Context) -> Answer:
        """Change a tax rate."""
        rate = request.tax_rate
        with Checks() as check:
            rate_id = check.uuid("tax_rate.id", rate.id)
            etags = expected_etags(check, context, "tax_rate.etag", rate.etag)
            fields = masked(check, request.update_mask, rate, TAX_RATE_FIELDS)
            draft = _draft(check, rate, fields)
        same = _fixed(rate) if request.update_mask.paths in ([], ["*"]) else {}
        change = tax_rates.Update(rate_id=rate_id, draft=draft, fields=fields, same=same, etags=etags, actor=context.actor)
        key = self._idempotency.key(context, request, convert_taxes.tax_rate)
        return answer(context, await tax_rates.update(self._pool, change, key), convert_taxes.tax_rate)

    async def ArchiveTaxRate(self, request: tax_pb2.ArchiveTaxRateRequest, context: Context) -> Answer:
        """Archive a tax rate."""
        with Checks() as check:
            rate_id = check.uuid("tax_rate_id", request.tax_rate_id)
        key = self._idempotency.key(context, request, convert_taxes.tax_rate)
        return answer(context, await tax_rates.archive(self._pool, rate_id, context.actor, key), convert_taxes.tax_rate)


def _draft(check: Checks, rate: tax_pb2.TaxRate, fields: Collection[str]) -> RateDraft:
    """Return the rate of a request. Of its fields that can change it has those that are named, checked."""
    return RateDraft(
        country_code=rate.country_code,
        region=rate.region,
        category=rate.tax_category,
        name=validation.rate_name(check, "tax_rate.name", rate.name) if "name" in fields else "",
        ppm=rate.rate_ppm,
        parts=validation.parts(check, "tax_rate.parts", _parts(check, rate)) if "parts" in fields else (),
        valid_from=_time(check, rate, "valid_from") if "valid_from" in fields else None,
        valid_until=_time(check, rate, "valid_until") if "valid_until" in fields else None,
    )


def _time(check: Checks, rate: tax_pb2.TaxRate, field: Literal["valid_from", "valid_until"]) -> datetime | None:
    return check.time(f"tax_rate.{field}", getattr(rate, field), EARLIEST, LATEST) if rate.HasField(field) else None


def _parts(check: Checks, rate: tax_pb2.TaxRate) -> tuple[TaxPart, ...]:
    for index, part in enumerate(rate.parts[:PARTS_MAX]):
        check.present(part, "ppm", f"tax_rate.parts[{index}].ppm")
    return tuple(TaxPart(part.name, part.ppm) for part in rate.parts)


def _fixed(rate: tax_pb2.TaxRate) -> dict[str, str]:
    """Return the fields of a request that the rate must have already, by their names in a draft."""
    return {FIXED_FIELDS[field.name]: f"tax_rate.{field.name}" for field, _ in rate.ListFields() if field.name in FIXED_FIELDS}
