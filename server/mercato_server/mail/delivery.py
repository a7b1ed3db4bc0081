"""The jobs that send mail, and the mails that orders cause. Runs in each worker, beside its calls.

A job of pgqueuer may run more than once; it sends its mail only while it has leased it and nobody has sent it. What is certain is that a
mail is sent at least once: if a worker dies between the server's answer and the note of it, the mail goes out again, as the same message.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from uuid import UUID

import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel
from pgqueuer.ports.driver import NotifyCallback

from mercato_server import failpoints
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool, create_pool, refusal
from mercato_server.domain.mails import TOKEN_LIFETIMES_S, WORTH_S, Mail
from mercato_server.mail.letters import Letters
from mercato_server.mail.transports import MailDelayedError, MailRefusedError, transport
from mercato_server.security.one_time_tokens import OneTimeTokens, digest
from mercato_server.store import mails, order_lists, order_mails
from mercato_server.store.mails import MailBusyError

log = structlog.get_logger(__name__)

ENTRYPOINT = "mail"
POLL_S = 0.2
BATCH = 5
ORDERS_BATCH = 500
DEAD_S = 10.0
"""A job whose worker has not said for so long that it is at it goes to another one."""
REVIVE_S = 60.0
RETRY_S = 1.0
NOTE_TRIES = 20
STOP_S = 2.0
"""Time that a mail under way gets to end when the worker stops; one that does not is sent by another worker."""


class _PollingDriver(AsyncpgPoolDriver):
    """A driver that neither notifies nor listens: NOTIFY takes a global lock at commit, LISTEN a session that poolers do not give."""

    async def notify(self, channel: str, payload: str) -> None:
        """Do nothing."""

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Do nothing."""


class Delivery:
    """Sends the mail of a shop, together with the other workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._tokens = OneTimeTokens(settings.secret_key)
        self._letters = Letters(settings.mail)
        self._transport = transport(settings.mail, settings.limits.mail_timeout_s)
        self._stopping = asyncio.Event()
        self._manager: QueueManager | None = None
        self._gate = asyncio.Lock()
        self._under_way: set[asyncio.Timeout] = set()
        self._work: list[asyncio.Task[None]] = []
        self._pool: Pool

    async def start(self) -> None:
        """Connect, note where the feed is, and begin; orders that come after this have their mails."""
        self._pool = await create_pool(replace(self._settings, pool_size=self._limits.background_connections))
        await order_mails.open_cursor(self._pool)
        work = (self._keep(self._run_jobs, "mail is not sent"), self._keep(self._follow_orders, "orders are not turned into mail"))
        self._work = [asyncio.create_task(each) for each in work]

    async def stop(self) -> None:
        """Let the mails under way end, cut off those that take too long, and close.

        pgqueuer takes a cancelled job for one that nobody wants, and deletes it. So nothing is cancelled before the connections are gone.
        """
        self._stopping.set()
        if self._manager is not None:
            self._manager.shutdown.set()
        until = asyncio.get_running_loop().time() + STOP_S
        for scope in self._under_way:
            scope.reschedule(until)
        if self._work:
            await asyncio.wait(self._work, timeout=2 * STOP_S)
            self._pool.terminate()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _keep(self, work: Callable[[], Awaitable[None]], failure: str) -> None:
        """Do a part of the work until stopped; whatever ends it, it begins again."""
        while not self._stopping.is_set():
            try:
                await work()
            except Exception as error:
                log.warning(failure, exc_info=None if refusal(error) else error, error=repr(error))
                await self._sleep(RETRY_S)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, or until stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _follow_orders(self) -> None:
        """Queue the mails of orders."""
        loop = asyncio.get_running_loop()
        seen, revived = await order_mails.cursor(self._pool), loop.time()
        while not self._stopping.is_set():
            end, found = await order_mails.look(self._pool, seen)
            if not found:
                seen = end
                await self._sleep(POLL_S)
            elif await order_mails.queue(self._pool, ORDERS_BATCH) < ORDERS_BATCH:
                seen = await order_mails.cursor(self._pool)
            if loop.time() - revived > REVIVE_S:
                await mails.revive(self._pool)
                revived = loop.time()

    async def _run_jobs(self) -> None:
        """Run the jobs that are queued."""
        await mails.revive(self._pool)
        names = _names()
        queries = Queries(_PollingDriver(self._pool), QueryBuilderEnvironment(names), QueryQueueBuilder(names))
        manager = QueueManager(queries, channel=names.channel)
        manager.entrypoint(ENTRYPOINT, on_failure="hold")(self._run_job)
        self._manager = manager
        if self._stopping.is_set():
            return
        await manager.run(
            dequeue_timeout=timedelta(seconds=POLL_S),
            batch_size=BATCH,
            max_concurrent_tasks=2 * BATCH,
            heartbeat_timeout=timedelta(seconds=DEAD_S),
            log_aggregation_interval=timedelta(0),
        )

    async def _run_job(self, job: Job) -> None:
        """Send the mail of a job; what cannot be sent now is put back into the queue, what cannot be sent at all is held."""
        mail_id = UUID(bytes=job.payload)
        async with self._gate:  # calls come first: mails share a core with them
            await asyncio.sleep(1 / self._settings.mail.per_second)
        try:
            await self._send(mail_id)
        except MailBusyError as busy:
            raise RetryRequested(timedelta(seconds=busy.seconds), "leased") from None
        except MailDelayedError as delayed:
            log.warning("a mail cannot be sent now", mail=str(mail_id), reason=str(delayed), attempts=job.attempts + 1)
            raise RetryRequested(self._pause(job), str(delayed)) from None
        except MailRefusedError as refused:
            log.error("a mail will not be sent", mail=str(mail_id), reason=str(refused))  # noqa: TRY400 - its stack tells nothing
            raise
        except Exception as error:
            if refusal(error) is None:
                log.exception("a mail failed unexpectedly", mail=str(mail_id))
                await mails.release(self._pool, mail_id, type(error).__name__)
                raise
            raise RetryRequested(self._pause(job), type(error).__name__) from None

    def _pause(self, job: Job) -> timedelta:
        longest = min(2.0 ** min(job.attempts, 16), self._limits.mail_retry_max_s)
        return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret

    async def _send(self, mail_id: UUID) -> None:
        mail = await mails.lease(self._pool, mail_id, self._limits.mail_lease_s)
        if mail is None:
            return
        failpoints.hit("mail: leased")
        try:
            message = await self._write(mail)
            if message is None:
                return
            await self._hand_in(mail, message)
        except MailRefusedError as refused:
            await mails.release(self._pool, mail.id, str(refused))
            raise
        except MailDelayedError:
            await mails.release(self._pool, mail.id)
            raise
        failpoints.hit("mail: accepted")
        await self._note_sent(mail)

    async def _write(self, mail: Mail) -> EmailMessage | None:
        """Write a mail; None if nobody needs it. Raises MailRefusedError if it is too late for it."""
        if mail.age_s > WORTH_S[mail.template]:
            raise MailRefusedError("it could not be sent while it was worth it")
        recipient = await mails.recipient(self._pool, mail)
        if recipient is None:
            return None
        if mail.order_id is not None:
            order = await order_lists.get(self._pool, mail.order_id)
            return None if order is None else self._letters.of_order(mail, recipient.full_name, order)
        token = self._tokens.of(mail.id)
        await mails.issue_token(self._pool, mail, recipient.account_id, digest(token), TOKEN_LIFETIMES_S[mail.template])
        return self._letters.with_token(mail, recipient.full_name, token)

    async def _hand_in(self, mail: Mail, message: EmailMessage) -> None:
        try:
            async with asyncio.timeout(STOP_S if self._stopping.is_set() else None) as scope:
                self._under_way.add(scope)
                try:
                    await self._transport.send(mail, message)
                finally:
                    self._under_way.discard(scope)
        except TimeoutError:
            raise MailDelayedError("the worker stops") from None

    async def _note_sent(self, mail: Mail) -> None:
        """Note that a mail has been sent, which is worth some patience: what is not noted is sent again."""
        for _ in range(NOTE_TRIES):
            try:
                await mails.set_sent(self._pool, mail.id)
            except Exception as error:
                if refusal(error) is None:
                    raise
                await asyncio.sleep(POLL_S)
            else:
                log.info("mail sent", mail=str(mail.id), template=mail.template.value)
                return
        log.warning("a mail was sent, but that cannot be noted; it will be sent again", mail=str(mail.id))
        raise RetryRequested(timedelta(seconds=self._limits.mail_lease_s), "not noted")


def _names() -> DBSettings:
    """Return the names of pgqueuer's tables; without this it would take them from variables such as CHANNEL and FUNCTION."""
    return DBSettings(
        prefix="",
        db_schema=None,
        channel=Channel("unused"),
        function="unused",
        trigger="unused",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        schedules_table="unused",
    )
