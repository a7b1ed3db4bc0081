"""The work of `mercato reconcile`: one comparison or many, and their lines."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from mercato_server.cli.reconcile import CLEAN, DISCREPANCIES, INCOMPLETE
from mercato_server.cli.running import migrated_pool
from mercato_server.config.environment import ConfigError
from mercato_server.config.payment_settings import PaymentSettings
from mercato_server.database.migrations import SchemaError
from mercato_server.database.pool import Pool
from mercato_server.domain.errors import MercatoError
from mercato_server.domain.reconciliation import Discrepancy
from mercato_server.payments import after_restore
from mercato_server.payments.after_restore import NotRefundableError
from mercato_server.payments.provider import PaymentProvider, ProviderError
from mercato_server.payments.reconciliation import Patience, Tally
from mercato_server.payments.reconciliation import reconcile as compare
from mercato_server.store import accepted_differences, restores
from mercato_server.store.restores import Pause

RECENT = timedelta(days=2)
"""The window of each comparison of a watch, before now."""
EVERYTHING_EVERY_S = 3600.0
READ_PAUSES_S = (0.5, 1.0, 2.0)
"""Pauses before a read of the provider that failed for a while is repeated."""
PERMISSION = frozenset({"http_401", "http_403"})


class _IncompleteError(Exception):
    """The comparison could not be completed; the message says why."""


class Settles(NamedTuple):
    """The ids of differences that the operator settles."""

    accepted: Sequence[str] = ()
    refunded: Sequence[str] = ()
    reason: str = ""
    """Why those are accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The window, and how the result is shown."""

    since: datetime | None
    until: datetime | None
    window: timedelta
    """The time before now that is compared without `since`."""
    interval_s: float | None
    """Seconds between comparisons; None for one comparison."""
    grace: timedelta
    as_json: bool
    settles: Settles


async def reconcile(database_url: str, settings: PaymentSettings, currency: str, options: Options) -> int:
    """Compare once, or until a signal; return the exit code. Raises ConfigError if there is no provider to compare with."""
    if settings.stripe is None:
        raise ConfigError("no payment provider is configured, so there is nothing to compare with; set MERCATO_STRIPE_SECRET_KEY")
    from mercato_server.payments.stripe_provider import StripeProvider  # shops without Stripe do not load its SDK

    provider = StripeProvider(settings.stripe, currency, READ_PAUSES_S)
    try:
        runs = _Runs(database_url, provider, options)
        return await runs.watch(options.interval_s) if options.interval_s else await runs.once(everything=True)
    finally:
        await provider.close()


class _Runs:
    """Comparisons, one after the other."""

    def __init__(self, database_url: str, provider: PaymentProvider, options: Options) -> None:
        self._url = database_url
        self._provider = provider
        self._options = options
        self._told = 0
        """The discrepancies that the last comparison has named so far."""
        self._is_paused = False
        """Whether payments are off after the last comparison."""

    async def watch(self, interval_s: float) -> int:
        """Compare until SIGINT or SIGTERM, which end the comparison that runs."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        stopped = asyncio.create_task(stop.wait())
        whole = last = INCOMPLETE
        all_due = loop.time()
        while not stop.is_set():
            everything = loop.time() >= all_due
            work = asyncio.create_task(self.once(everything=everything))
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))
                last = max(last, DISCREPANCIES if self._told else CLEAN)
                break
            last = work.result()
            if everything:
                whole = last
                all_due = loop.time() + (EVERYTHING_EVERY_S if last != INCOMPLETE else 0)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), interval_s)
        stopped.cancel()
        return max(whole, last)

    async def once(self, *, everything: bool) -> int:
        """Compare, print the result, and return its exit code."""
        now = datetime.now(UTC)
        since = self._options.since or now - self._options.window
        since = since if everything else max(since, now - RECENT)
        until = min(self._options.until or now, now)
        self._told = 0
        try:
            async with _complete(), migrated_pool(self._url) as pool:
                pause = await restores.pause(pool)
                if pause and everything and not self._options.since:
                    since = min(since, pause.restored_to - self._options.window)
                await self._settle(pool, since, until, is_paused=pause is not None)
                patience = Patience(grace=self._options.grace, is_paused=pause is not None)
                tally = await compare(pool, self._provider, since, until, self._tell, patience)
                is_whole = everything and until == now and pause is not None and since <= pause.restored_to - self._options.window
                self._is_paused = pause is not None and not (is_whole and await _resumed(pool, pause, tally))
        except _IncompleteError as error:
            sys.stderr.write(f"mercato: {error}\n")
            fields = {
                "type": "summary",
                "result": "incomplete",
                "from": since,
                "until": until,
                "discrepancies": self._told,
                "error": str(error),
            }
            self._print(fields, f"incomplete: {self._told} discrepancies so far")
            return INCOMPLETE
        self._print(_summary(tally, since, until) | {"payments_paused": self._is_paused}, _sentence(tally, since, until))
        if self._is_paused:
            sys.stderr.write(f"mercato: payments stay off: {_hindrance(tally)}\n")
        return DISCREPANCIES if tally.discrepancies else INCOMPLETE if self._is_paused else CLEAN

    async def _settle(self, pool: "Pool", since: datetime, until: datetime, *, is_paused: bool) -> None:
        """Settle the differences that the operator names, and after a restore book what the provider tells; raises _IncompleteError."""
        accepted, refunded, reason = self._options.settles
        if not (is_paused or accepted or refunded):
            return
        found: dict[str, Discrepancy] = {}
        patience = Patience(grace=timedelta(0), pause_s=0, is_paused=is_paused)
        await compare(pool, self._provider, since, until, lambda each: found.update({each.id: each}), patience)
        for id_ in (*accepted, *refunded):
            if id_ not in found:
                raise _IncompleteError(f"there is no difference with the id {id_} now; nothing was changed")
        for id_ in accepted:
            await accepted_differences.accept(pool, found[id_], reason)
        for id_ in refunded:
            try:
                await after_restore.give_back(pool, self._provider, found[id_])
            except (NotRefundableError, ProviderError) as error:
                raise _IncompleteError(f"the payment of the difference {id_} cannot be given back: {error}") from error
        if is_paused:
            await after_restore.catch_up(pool, self._provider, list(found.values()))

    def _tell(self, found: Discrepancy) -> None:
        self._told += 1
        self._print(_fields(found), _line(found))

    def _print(self, fields: dict[str, Any], line: str) -> None:
        sys.stdout.write((json.dumps(fields, default=_text) if self._options.as_json else line) + "\n")
        sys.stdout.flush()


async def _resumed(pool: "Pool", pause: Pause, tally: Tally) -> bool:
    """Let payments go on if both sides agree, and no news is under way; return whether they do."""
    return not tally.discrepancies and not tally.fresh and await restores.resume(pool, pause)


def _hindrance(tally: Tally) -> str:
    if tally.discrepancies:
        return "settle each difference with --refund ID, or with --accept ID --reason TEXT"
    if tally.fresh:
        return "some payments are younger than --grace; compare again later"
    return "compare everything until now, without --from and --until"


@asynccontextmanager
async def _complete() -> AsyncIterator[None]:
    """Turn the errors that end a comparison into the one that says so."""
    try:
        yield
    except ProviderError as error:
        hint = "; the key needs to read payment intents, refunds, charges and disputes" if error.code in PERMISSION else ""
        raise _IncompleteError(f"the provider cannot be read: {error}{hint}") from error
    except (SchemaError, MercatoError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise _IncompleteError(f"the database cannot be read: {str(error) or type(error).__name__}") from error


def _fields(found: Discrepancy) -> dict[str, Any]:
    of = found.difference
    return {
        "type": "discrepancy",
        "id": found.id,
        "kind": of.kind,
        "payment_id": found.payment_id,
        "order_id": found.order_id,
        "provider_ref": found.provider_ref,
        "part_id": of.part_id,
        "part_ref": of.part_ref,
        "shop": of.shop,
        "provider": of.provider,
    }


def _line(found: Discrepancy) -> str:
    fields = _fields(found)
    ids = " ".join(
        f"{name}={fields[name]}" for name in ("id", "payment_id", "order_id", "provider_ref", "part_id", "part_ref") if fields[name]
    )
    return f"{found.difference.kind}: {ids} shop: {found.difference.shop or 'none'}; provider: {found.difference.provider or 'none'}"


def _summary(tally: Tally, since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "type": "summary",
        "result": "discrepancies" if tally.discrepancies else "clean",
        "from": since,
        "until": until,
        "payments": tally.payments,
        "refunds": tally.refunds,
        "disputes": tally.disputes,
        "discrepancies": tally.discrepancies,
        "in_flight": tally.in_flight,
        "accepted": tally.accepted,
        "not_ours": tally.not_ours,
        "kinds": dict(tally.kinds),
    }


def _sentence(tally: Tally, since: datetime, until: datetime) -> str:
    return (
        f"{_text(since)} to {_text(until)}: compared {tally.payments} payments, {tally.refunds} refunds and {tally.disputes} disputes; "
        f"{tally.discrepancies} discrepancies, {tally.in_flight} in flight, {tally.not_ours} payments of other programs"
        + (f", {tally.accepted} accepted" if tally.accepted else "")
    )


def _text(value: object) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)
