"""The handler of the jobs that send mail.

Delivery is at least once. A job may run more than once; it sends its mail only if it can lease it and the mail has not been sent. If a
worker dies between the mail server's acceptance and the record of it, another worker sends the same message again.
"""

import asyncio
from collections import Counter
from email.message import EmailMessage

import structlog

from mercato_server import failpoints
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool, refusal
from mercato_server.domain.jobs import JobKind
from mercato_server.domain.mails import AGE_MAX_S, TOKEN_LIFETIMES_S, Mail
from mercato_server.jobs.queues import GivenUpError, Job, LaterError, Queue
from mercato_server.mail.letters import Letters
from mercato_server.mail.transports import MailDelayedError, MailRefusedError, transport
from mercato_server.security.one_time_tokens import OneTimeTokens, digest
from mercato_server.security.order_links import OrderLinks
from mercato_server.store import mails, order_lists
from mercato_server.store.mails import MailBusyError
from mercato_server.tracing.steps import step

log = structlog.get_logger(__name__)

RECORD_TRIES = 20
RECORD_PAUSE_S = 0.2


class Delivery:
    """Sends the shop's mail, together with the other workers."""

    def __init__(self, settings: Settings, pool: "Pool") -> None:
        self._pool = pool
        self.outcomes: Counter[str] = Counter({"sent": 0, "deferred": 0, "refused": 0})
        """Tries to send a mail by how they ended. Of the refused ones no further is made."""
        self._limits = settings.limits
        self._tokens = OneTimeTokens(settings.secret_key)
        self._letters = Letters(settings.mail, OrderLinks(settings.secret_key))
        self._transport = transport(settings.mail, settings.limits.mail_timeout_s)
        self.queue = Queue(
            kind=JobKind.MAIL,
            handle=self._handle,
            due=mails.due,
            per_second=settings.mail.per_second,
            pause_max_s=settings.limits.mail_retry_max_s,
        )

    async def _handle(self, job: Job) -> None:
        """Send the mail of a job; put the job back after a passing failure, and give it up if the mail is refused."""
        mail_id = str(job.row_id)
        try:
            await self._send(job)
        except MailBusyError as busy:
            raise LaterError("leased", busy.seconds) from None
        except MailDelayedError as delayed:
            self.outcomes["deferred"] += 1
            log.warning("a mail cannot be sent now", mail=mail_id, reason=str(delayed), attempts=job.attempts + 1)
            raise LaterError(str(delayed)) from None
        except MailRefusedError as refused:
            self.outcomes["refused"] += 1
            log.error("a mail will not be sent", mail=mail_id, reason=str(refused))  # noqa: TRY400 - a stack trace adds nothing
            raise GivenUpError(str(refused)) from None
        except LaterError:  # the mail keeps its lease
            raise
        except Exception as error:
            if refusal(error) is None:
                await mails.release(self._pool, job.row_id, type(error).__name__)
            raise

    async def _send(self, job: Job) -> None:
        mail = await mails.lease(self._pool, job.row_id, self._limits.mail_lease_s)
        if mail is None:
            return
        failpoints.hit("mail: leased")
        try:
            message = await self._write(mail)
            if message is None:
                await mails.drop(self._pool, mail.id)
                return
            with step("send mail"):
                await self._transport.send(mail, message)
        except MailRefusedError as refused:
            await mails.release(self._pool, mail.id, str(refused))
            raise
        except (MailDelayedError, asyncio.CancelledError):
            await mails.release(self._pool, mail.id)
            raise
        self.outcomes["sent"] += 1
        job.keep()
        failpoints.hit("mail: accepted")
        await self._record_sent(mail)

    async def _write(self, mail: Mail) -> EmailMessage | None:
        """Write a mail; None if it is no longer needed. Raises MailRefusedError if it is too old."""
        if mail.age_s > AGE_MAX_S[mail.template]:
            raise MailRefusedError("the mail is too old to be useful")
        recipient = await mails.recipient(self._pool, mail)
        if recipient is None:
            return None
        if mail.order_id is not None:
            order = await order_lists.get(self._pool, mail.order_id)
            return None if order is None else self._letters.of_order(mail, recipient, order)
        token = self._tokens.of(mail.id)
        if not await mails.issue_token(self._pool, mail, recipient.account_id, digest(token), TOKEN_LIFETIMES_S[mail.template]):
            return None
        return self._letters.with_token(mail, recipient.full_name, token)

    async def _record_sent(self, mail: Mail) -> None:
        """Record that a mail has been sent, with retries; without the record the mail would be sent again."""
        for _ in range(RECORD_TRIES):
            try:
                await mails.set_sent(self._pool, mail.id)
            except Exception as error:
                if refusal(error) is None:
                    raise
                await asyncio.sleep(RECORD_PAUSE_S)
            else:
                log.info("mail sent", mail=str(mail.id), template=mail.template.value)
                return
        log.warning("a mail was sent, but this cannot be recorded; it will be sent again", mail=str(mail.id))
        raise LaterError("sent, but not recorded", self._limits.mail_lease_s)
