"""Books what providers have told; news that cannot be booked hinders no other."""

from collections.abc import Sequence

import structlog

from mercato_server.database.pool import Pool
from mercato_server.store import provider_events, provider_requests, told_facts
from mercato_server.store.order_batches import one_by_one
from mercato_server.store.told_facts import Told

log = structlog.get_logger(__name__)

BROKEN_PAUSE_S = 300.0
"""Pause before a request is sent again whose answer could not be booked."""


async def book(pool: "Pool", told: Sequence[Told]) -> None:
    """Book news in one transaction, or each by itself if that fails. Raises only if the database is unavailable or busy."""

    async def set_aside(each: Told, error: Exception) -> None:
        log.error("the news of a payment cannot be booked", payment=str(each.payment_id), exc_info=error)
        failure = f"cannot be booked: {type(error).__name__}"
        if each.event_ids:
            await provider_events.quarantine(pool, each.event_ids, failure)
        elif each.fact:
            await provider_events.quarantine_read(pool, each.provider, each.fact.provider_ref, failure)
        if each.request:
            await provider_requests.defer(pool, each.request.id, BROKEN_PAUSE_S, "not_booked")

    await one_by_one(told, lambda part: told_facts.apply(pool, part), set_aside)
