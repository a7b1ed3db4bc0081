"""Mails: requests for them, the lease of a worker that sends one, and the outcome.

A mail and its job are written in the transaction of their cause. The job may run more than once, and at several workers at the same time;
only the worker that has leased the mail sends it. A row lock would instead keep a transaction open while the mail server responds. An
open transaction delays all consumers of the change feed.
"""

from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.errors import ContactRequired, TooManyMails
from mercato_server.domain.mails import Mail, Recipient, Template
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.jobs import TRACE

TEMPLATES = list(Template)
"""Templates that this release can write; a later release may have queued mails with others."""

# The row has the times of the last mails, not a count, so that no period of an hour has more than $3. Concurrent requests wait for it.
REQUEST_MAIL = f"""
WITH allowed AS (
    INSERT INTO mail_allowances AS known (address, template, times, last_at)
    VALUES ($1, $2, ARRAY[now()], now())
        ON CONFLICT (address, template) DO UPDATE
       SET times = (known.times || now())[greatest(cardinality(known.times) + 2 - $3, 1):], last_at = now()
     WHERE cardinality(known.times) < $3 OR known.times[cardinality(known.times) - $3 + 1] <= now() - interval '1 hour'
    RETURNING address, template
), mail AS (
    INSERT INTO mails (template, address, account_id)
    SELECT template, address, $4::uuid FROM allowed
    RETURNING id
), job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status, headers)
    SELECT 1, 'mail', uuid_send(id), 'mail:' || id, 'queued', {TRACE}
      FROM mail  -- before mails about orders, because a user waits for it
)
SELECT id FROM mail
"""  # noqa: S608 - our own text

GET_WAIT = """
SELECT extract(epoch FROM times[cardinality(times) - $3 + 1] + interval '1 hour' - now())::float8
  FROM mail_allowances
 WHERE address = $1 AND template = $2
"""

# The address of an account, or the contact address of a guest.
GET_UNVERIFIED = """
SELECT role = 'guest' AS is_guest,
       CASE WHEN role = 'guest' THEN nullif(contact_email, verified_contact) WHEN email_verified_at IS NULL THEN email END AS address,
       role = 'guest' AND contact_email IS NULL AS lacks_contact
  FROM accounts
  LEFT JOIN carts ON carts.account_id = accounts.id
 WHERE id = $1 AND disabled_at IS NULL
   FOR KEY SHARE OF accounts  -- an erasure waits for the mail, which it then deletes
"""

LEASE_MAIL = """
UPDATE mails
   SET leased_until = now() + make_interval(secs => $2), failure = NULL
 WHERE id = $1 AND sent_at IS NULL AND (leased_until IS NULL OR leased_until <= now()) AND template = ANY($3::text[])
RETURNING id, template, address, order_id, account_id, extract(epoch FROM created_at)::float8 AS created_at,
          extract(epoch FROM now() - created_at)::float8 AS age_s
"""

GET_LEASE = """
SELECT CASE WHEN template = ANY($2::text[])
            THEN greatest(extract(epoch FROM leased_until - now()), 0)  -- 0 also if it has just been released
            ELSE 60 END::float8  -- a template of a later release, whose workers send it
  FROM mails
 WHERE id = $1 AND sent_at IS NULL
"""

RELEASE_MAIL = "UPDATE mails SET leased_until = NULL, failure = $2 WHERE id = $1"

DROP_MAIL = "UPDATE mails SET leased_until = NULL, dropped_at = now() WHERE id = $1"

SET_SENT = "UPDATE mails SET sent_at = now(), leased_until = NULL WHERE id = $1"

# A full name may be an arbitrary text. The server must not mail it to an address that the account's owner has not verified.
GET_RECIPIENT = """
SELECT id, CASE WHEN email_verified_at IS NULL THEN '' ELSE full_name END AS full_name, email_verified_at IS NOT NULL AS verified
  FROM accounts
 WHERE email = $1 AND disabled_at IS NULL
"""

GET_GUEST = "SELECT id FROM accounts WHERE id = $1 AND role = 'guest' AND disabled_at IS NULL"

GET_RECIPIENT_OF_ORDER = """
SELECT account.id, CASE WHEN email = $1 AND email_verified_at IS NOT NULL THEN full_name ELSE '' END AS full_name,
       account.role = 'guest' AND verified_contact IS DISTINCT FROM $1 AS is_stranger
  FROM orders AS placed
  JOIN accounts AS account ON account.id = placed.account_id
 WHERE placed.id = $2 AND disabled_at IS NULL
"""

IS_SUPERSEDED = "SELECT EXISTS (SELECT FROM mails WHERE template = 'reset_password' AND address = $1 AND id > $2)"

INSERT_DIGEST = """
WITH account AS MATERIALIZED (  -- locked before the mail, as an erasure does
    SELECT id FROM accounts WHERE id = $3 FOR KEY SHARE
), mail AS MATERIALIZED (
    SELECT mails.id FROM account JOIN mails ON mails.id = $2 FOR KEY SHARE OF mails  -- an erasure of the account may have deleted it
), token AS (
    INSERT INTO one_time_tokens (digest, mail_id, account_id, purpose, email, expires_at)
    SELECT $1, id, $3, $4, $5, now() + make_interval(secs => $6) FROM mail
        ON CONFLICT (digest) DO NOTHING  -- a mail that is sent again has the same token
)
SELECT id FROM mail
"""

GET_DUE_MAILS = """
SELECT mail.id
  FROM mails AS mail
 WHERE mail.sent_at IS NULL AND mail.failure IS NULL AND mail.dropped_at IS NULL AND mail.template = ANY($2::text[])
   AND NOT EXISTS (SELECT FROM pgqueuer AS job WHERE job.dedupe_key = 'mail:' || mail.id AND job.status IN ('queued', 'picked'))
 ORDER BY mail.created_at
 LIMIT $1
"""


class MailBusyError(Exception):
    """Another worker sends the mail, or must send it: it has leased it, or the template is of a later release."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
        """Time after which the lease expires."""


@retry_conflicts
async def request_reset(pool: "Pool", address: str, per_hour: int, key: IdempotencyKey | None = None) -> bool | Stored:
    """Queue a reset mail for an address, with or without an account; False if the hour's limit is reached."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: request(conn, address, Template.RESET_PASSWORD, per_hour))


@retry_conflicts
async def request_verification(pool: "Pool", account_id: UUID, per_hour: int, key: IdempotencyKey | None = None) -> bool | Stored:
    """Queue a verification mail for an account; False if its address is already verified. Raises TooManyMails.

    For a guest the mail goes to the contact address of its cart; raises ContactRequired without one.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _request_verification(conn, account_id, per_hour))


async def _request_verification(conn: "Conn", account_id: UUID, per_hour: int) -> bool:
    row = await conn.fetchrow(GET_UNVERIFIED, account_id)
    if row and row["lacks_contact"]:
        raise ContactRequired
    if row is None or row["address"] is None:
        return False
    address = str(row["address"])
    if not await request(conn, address, Template.VERIFY_EMAIL, per_hour, account_id if row["is_guest"] else None):
        raise TooManyMails(max(await conn.fetchval(GET_WAIT, address, Template.VERIFY_EMAIL, per_hour) or 0.0, 1.0))
    return True


async def request(conn: "Conn", address: str, template: Template, per_hour: int, guest_id: UUID | None = None) -> bool:
    """Queue a mail with a token in the caller's transaction; False if the hour's limit is reached.

    With `guest_id` the mail is for the contact address of a guest, whatever account may have that address.
    """
    return await conn.fetchval(REQUEST_MAIL, address, template, per_hour, guest_id) is not None


async def lease(pool: "Pool", mail_id: UUID, seconds: float) -> Mail | None:
    """Lease a mail for some seconds; None if it needs no sending. Raises MailBusyError if only another worker may send it."""
    row = await pool.fetchrow(LEASE_MAIL, mail_id, seconds, TEMPLATES)
    if row is not None:
        return Mail(**{**dict(row), "template": Template(row["template"])})
    left_s = await pool.fetchval(GET_LEASE, mail_id, TEMPLATES)
    if left_s is not None:
        raise MailBusyError(left_s)
    return None


async def release(pool: "Pool", mail_id: UUID, failure: str | None = None) -> None:
    """Release a leased mail: for another try, or with the reason of its final failure."""
    await pool.execute(RELEASE_MAIL, mail_id, failure)


async def drop(pool: "Pool", mail_id: UUID) -> None:
    """Mark a leased mail as dropped: it is no longer needed and will not be sent."""
    await pool.execute(DROP_MAIL, mail_id)


async def set_sent(pool: "Pool", mail_id: UUID) -> None:
    """Mark a mail as sent."""
    await pool.execute(SET_SENT, mail_id)


async def recipient(pool: "Pool", mail: Mail) -> Recipient | None:
    """Return the recipient of a mail, or None if the mail is not needed.

    That is the case without an enabled account, for the verification of a verified address, and for a reset mail with a newer successor.
    """
    if mail.order_id is not None:
        row = await pool.fetchrow(GET_RECIPIENT_OF_ORDER, mail.address, mail.order_id)
        return Recipient(row["id"], row["full_name"], row["is_stranger"]) if row else None
    if mail.account_id is not None:
        return Recipient(mail.account_id, "") if await pool.fetchval(GET_GUEST, mail.account_id) else None
    row = await pool.fetchrow(GET_RECIPIENT, mail.address)
    if row is None or (mail.template is Template.VERIFY_EMAIL and row["verified"]):
        return None
    if mail.template is Template.RESET_PASSWORD and await pool.fetchval(IS_SUPERSEDED, mail.address, mail.id):
        return None
    return Recipient(row["id"], row["full_name"])


async def issue_token(pool: "Pool", mail: Mail, account_id: UUID, token_digest: bytes, lifetime_s: float) -> bool:
    """Make the token of a mail valid; its lifetime begins at the first call for the mail. False if the mail has been deleted."""
    arguments = (token_digest, mail.id, account_id, mail.template, mail.address, lifetime_s)
    return await pool.fetchval(INSERT_DIGEST, *arguments) is not None


async def due(pool: "Pool", limit: int) -> list[UUID]:
    """Return unsent mails whose job was lost, or is held although the mail has not failed; oldest first."""
    return [row["id"] for row in await pool.fetch(GET_DUE_MAILS, limit, TEMPLATES)]
