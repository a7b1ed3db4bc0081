"""Books what providers have told; news that cannot be booked hinders no other."""

from collections.abc import Sequence

import structlog

from mercato_server.database.pool import Pool, refusal
from mercato_server.domain.errors import MercatoError
from mercato_server.store import provider_events, provider_requests, told_facts
from mercato_server.store.told_facts import Told

log = structlog.get_logger(__name__)

BROKEN_PAUSE_S = 300.0
"""Pause before a request is sent again whose answer could not be booked."""


async def book(pool: "Pool", told: Sequence[Told]) -> None:
    """Book news in one transaction, or each by itself if that fails. Raises only if the database is unavailable or busy."""
    try:
        if told:
            await told_facts.apply(pool, told)
    except Exception as error:
        if refusal(error) is not None or isinstance(error, MercatoError):
            raise
        if len(told) > 1:
            for each in told:
                await book(pool, [each])
            return
        log.exception("the news of a payment cannot be booked", payment=str(told[0].payment_id))
        await _set_aside(pool, told[0], f"cannot be booked: {type(error).__name__}")


async def _set_aside(pool: "Pool", told: Told, failure: str) -> None:
    if told.event_ids:
        await provider_events.quarantine(pool, told.event_ids, failure)
    elif told.fact:
        await provider_events.quarantine_read(pool, told.provider, told.fact.provider_ref, failure)
    if told.request:
        await provider_requests.defer(pool, told.request.id, BROKEN_PAUSE_S, "not_booked")
