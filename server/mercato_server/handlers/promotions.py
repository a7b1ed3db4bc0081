"""The RPCs of PromotionService."""

from collections.abc import Mapping
from uuid import UUID

from mercato.v1 import promotion_pb2
from mercato.v1.money_pb2 import Money
from mercato_server.database.pool import Pool
from mercato_server.domain.promotion_codes import CODE_MAX, LENGTH_DEFAULT, PromotionCode
from mercato_server.domain.promotion_drafts import PromotionDraft, StoredPromotion
from mercato_server.domain.promotions import PromotionKind
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import promotion_codes, promotions
from mercato_server.validation import promotions as fields
from mercato_server.validation.checks import Checks

_KINDS: Mapping[PromotionKind, "promotion_pb2.PromotionKind.ValueType"] = {
    PromotionKind.UNKNOWN: promotion_pb2.PROMOTION_KIND_UNSPECIFIED,
    **{kind: number for number, kind in fields.KIND_OF.items()},
}


class PromotionHandler:
    """Serves promotions and their codes to administrators."""

    def __init__(self, pool: "Pool", pager: Pager, idempotency: Idempotency, currency: str) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = idempotency
        self._currency = currency

    async def ListPromotions(self, request: promotion_pb2.ListPromotionsRequest, _context: Context) -> Answer:
        """List promotions."""
        with Checks() as check:
            self._pager.check(check, request)
        shown = request.show_archived
        query = f"promotions {shown}"
        return await self._pager.answer(
            self._pager.page(request, query),
            query,
            lambda page: promotions.promotions(self._pool, page, show_archived=shown),
            self._promotion,
            promotion_pb2.ListPromotionsResponse,
        )

    async def GetPromotion(self, request: promotion_pb2.GetPromotionRequest, _context: Context) -> Answer:
        """Return a promotion."""
        with Checks() as check:
            promotion_id = check.uuid("promotion_id", request.promotion_id)
        return self._promotion(await promotions.get(self._pool, promotion_id))

    async def CreatePromotion(self, request: promotion_pb2.CreatePromotionRequest, context: Context) -> Answer:
        """Create a promotion."""
        with Checks() as check:
            draft = fields.draft(check, request.promotion, self._currency)
        key = self._idempotency.key(context, request, self._promotion)
        return answer(context, await promotions.create(self._pool, draft, context.actor, key), self._promotion)

    async def UpdatePromotion(self, request: promotion_pb2.UpdatePromotionRequest, context: Context) -> Answer:
        """Change a promotion."""
        promotion = request.promotion
        with Checks() as check:
            change = promotions.Update(
                promotion_id=check.uuid("promotion.id", promotion.id),
                values=fields.changes(check, promotion, masked(check, request.update_mask, promotion, fields.WRITABLE), self._currency),
                kind=fields.optional_kind(check, promotion),
                etags=expected_etags(check, context, "promotion.etag", promotion.etag),
                actor=context.actor,
            )
        key = self._idempotency.key(context, request, self._promotion)
        return answer(context, await promotions.update(self._pool, change, key), self._promotion)

    async def ArchivePromotion(self, request: promotion_pb2.ArchivePromotionRequest, context: Context) -> Answer:
        """Archive a promotion."""
        with Checks() as check:
            promotion_id = check.uuid("promotion_id", request.promotion_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, self._promotion)
        return answer(context, await promotions.archive(self._pool, promotion_id, etags, context.actor, key), self._promotion)

    async def ListPromotionCodes(self, request: promotion_pb2.ListPromotionCodesRequest, _context: Context) -> Answer:
        """List the codes of a promotion."""
        with Checks() as check:
            self._pager.check(check, request)
            promotion_id = check.uuid("promotion_id", request.promotion_id)
            batch_id = check.optional_uuid("batch_id", request.batch_id)
        shown = request.show_archived
        query = f"codes of {promotion_id} {batch_id} {shown}"
        return await self._pager.answer(
            self._pager.page(request, query),
            query,
            lambda page: promotion_codes.codes(self._pool, promotion_id, batch_id, page, show_archived=shown),
            _code,
            promotion_pb2.ListPromotionCodesResponse,
        )

    async def CreatePromotionCode(self, request: promotion_pb2.CreatePromotionCodeRequest, context: Context) -> Answer:
        """Create a code."""
        with Checks() as check:
            promotion_id = check.uuid("promotion_id", request.promotion_id)
            draft = fields.code(check, "code", request.code, request.usage_limit if request.HasField("usage_limit") else None)
        key = self._idempotency.key(context, request, _code)
        return answer(context, await promotion_codes.create(self._pool, promotion_id, draft, context.actor, key), _code)

    async def GeneratePromotionCodes(self, request: promotion_pb2.GeneratePromotionCodesRequest, context: Context) -> Answer:
        """Create random codes."""
        with Checks() as check:
            promotion_id = check.uuid("promotion_id", request.promotion_id)
            length = request.length if request.HasField("length") else LENGTH_DEFAULT
            usage_limit = request.usage_limit if request.HasField("usage_limit") else 1
            batch = fields.batch(check, count=request.count, prefix=request.prefix, length=length, usage_limit=usage_limit)

        def generated(batch_id: UUID) -> promotion_pb2.GeneratePromotionCodesResponse:
            return promotion_pb2.GeneratePromotionCodesResponse(batch_id=str(batch_id), count=batch.count)

        key = self._idempotency.key(context, request, generated)
        return answer(context, await promotion_codes.generate(self._pool, promotion_id, batch, context.actor, key), generated)

    async def ArchivePromotionCode(self, request: promotion_pb2.ArchivePromotionCodeRequest, context: Context) -> Answer:
        """Archive a code."""
        with Checks() as check:
            promotion_id = check.uuid("promotion_id", request.promotion_id)
            code = fields.part_of_code(check, "code", request.code, longest=CODE_MAX, shortest=1)
        key = self._idempotency.key(context, request, _code)
        return answer(context, await promotion_codes.archive(self._pool, promotion_id, code, context.actor, key), _code)

    def _promotion(self, found: StoredPromotion) -> promotion_pb2.Promotion:
        """Return a promotion for administrators."""
        message = self._writable(found.draft)
        message.id = str(found.id)
        message.etag = found.etag
        message.used = found.used
        message.codes = found.codes
        message.create_time.CopyFrom(convert.timestamp(found.created_at))
        message.update_time.CopyFrom(convert.timestamp(found.updated_at))
        if found.archived_at:
            message.archive_time.CopyFrom(convert.timestamp(found.archived_at))
        return message

    def _writable(self, draft: PromotionDraft) -> promotion_pb2.Promotion:
        return promotion_pb2.Promotion(
            name=draft.name,
            kind=_KINDS[draft.kind],
            percent_ppm=draft.percent_ppm,
            amount=self._money(draft.amount_minor),
            buy_quantity=draft.buy_quantity,
            get_quantity=draft.get_quantity,
            product_ids=map(str, draft.product_ids),
            category_ids=map(str, draft.category_ids),
            get_product_ids=map(str, draft.get_product_ids),
            get_category_ids=map(str, draft.get_category_ids),
            shipping_method_ids=map(str, draft.method_ids),
            delivery_max=self._money(draft.delivery_max_minor),
            min_subtotal=self._money(draft.min_subtotal_minor),
            needs_code=draft.needs_code,
            start_time=convert.optional_timestamp(draft.starts_at),
            end_time=convert.optional_timestamp(draft.ends_at),
            usage_limit=draft.usage_limit,
            per_buyer_limit=draft.per_buyer_limit,
            priority=draft.priority,
            combinable=draft.combinable,
        )

    def _money(self, minor_units: int | None) -> Money | None:
        return None if minor_units is None else Money(currency_code=self._currency, minor_units=minor_units)


def _code(found: PromotionCode) -> promotion_pb2.PromotionCode:
    return promotion_pb2.PromotionCode(
        code=found.code,
        promotion_id=str(found.promotion_id),
        batch_id=str(found.batch_id or ""),
        usage_limit=found.usage_limit,
        used=found.used,
        create_time=convert.timestamp(found.created_at),
        archive_time=convert.optional_timestamp(found.archived_at),
    )
