"""The rows that belong to an account and to no order: one function removes them, from swept guests and from erased accounts.

The caller has locked the accounts `FOR UPDATE`. So no call that began before can add such a row: each statement that writes one locks its
account, or violates the foreign key of a deleted one.
"""

from collections.abc import Collection
from uuid import UUID

from mercato_server.database.pool import Conn
from mercato_server.domain.events import EventKind
from mercato_server.store import events
from mercato_server.store.events import Event

DELETE_SESSIONS = """
DELETE FROM sessions
 WHERE account_id = ANY($1::uuid[])
RETURNING id, ended_at IS NULL AND expires_at > now() AS was_live
"""


def mails(accounts: str) -> str:
    """Return the statement of the mails of accounts that are not about orders; `accounts` is what their ids are compared with.

    A contact address is typed and not proven, so other mails to it may be those of its owner.
    """
    return f"""
    SELECT mail_id AS id FROM one_time_tokens WHERE account_id = {accounts}
     UNION
    SELECT mail.id
      FROM accounts AS account
      JOIN mails AS mail ON mail.address = account.email
     WHERE account.id = {accounts} AND mail.order_id IS NULL AND mail.account_id IS NULL
     UNION
    SELECT mail.id
      FROM (SELECT id, verified_contact AS address FROM accounts WHERE id = {accounts}
             UNION
            SELECT account_id, contact_email FROM carts WHERE account_id = {accounts}) AS contact
      JOIN mails AS mail ON mail.address = contact.address AND mail.account_id = contact.id
"""  # noqa: S608 - constants


# A job of a mail that is gone does nothing. The tokens of the mails go with them.
DELETE_MAILS = f"DELETE FROM mails WHERE id IN ({mails('ANY($1::uuid[])')})"  # noqa: S608 - constants

DELETE_ROWS = """
WITH tokens AS (
    DELETE FROM one_time_tokens WHERE account_id = ANY($1::uuid[])
), book AS (
    DELETE FROM addresses WHERE account_id = ANY($1::uuid[])
), headers AS (
    DELETE FROM carts WHERE account_id = ANY($1::uuid[])
), lines AS (
    DELETE FROM cart_items WHERE account_id = ANY($1::uuid[])
), kept_prices AS (
    DELETE FROM quotes WHERE account_id = ANY($1::uuid[])
), guesses AS (
    DELETE FROM promotion_guesses WHERE account_id = ANY($1::uuid[])
)
DELETE FROM account_taxes WHERE account_id = ANY($1::uuid[])
"""

DELETE_KEYS = "DELETE FROM idempotency_keys WHERE scope_id = ANY($1::uuid[])"


async def remove(conn: "Conn", account_ids: Collection[UUID]) -> None:
    """End the sessions of locked accounts, and delete all that belongs to them besides orders, in the caller's transaction.

    Stored responses go last: a call that writes one holds a row that is deleted before, so this has waited for it.
    """
    ended = await conn.fetch(DELETE_SESSIONS, account_ids)
    await events.append(conn, [Event(EventKind.SESSION_ENDED, row["id"]) for row in ended if row["was_live"]])
    for statement in (DELETE_MAILS, DELETE_ROWS, DELETE_KEYS):
        await conn.execute(statement, account_ids)
