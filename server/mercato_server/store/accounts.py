"""Accounts: sign-up, reads, names and passwords."""

from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Account, Actor, Role, SessionEnd
from mercato_server.domain.cart_merges import Merge
from mercato_server.domain.errors import EmailTaken, PasswordWrong, TokenInvalid
from mercato_server.domain.mails import Template
from mercato_server.domain.taxes import TaxTreatment
from mercato_server.store import audit_log, guests, joined_orders, login_attempts, mails, recovery, sessions
from mercato_server.store.cart_merges import Joining
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.login_attempts import Counters

INSERT_ACCOUNT = """
INSERT INTO accounts (email, full_name, role, password_hash)
VALUES ($1, $2, $3, $4)
RETURNING id, email, full_name, role, password_hash, created_at, disabled_at, email_verified_at
"""

# An address that the guest has verified as its contact is verified for the account too.
UPGRADE_GUEST = """
UPDATE accounts
   SET email = $2, full_name = $3, role = $4, password_hash = $5, network = NULL, guest_check_at = NULL, verified_contact = NULL,
       email_verified_at = CASE WHEN verified_contact = $2 THEN now() END
 WHERE id = $1
RETURNING id, email, full_name, role, password_hash, created_at, disabled_at, email_verified_at
"""

# A subquery reads one row by its key, also where a list has many accounts or an UPDATE returns one.
ACCOUNT_COLUMNS = """
    id, email, full_name, role, password_hash, created_at, disabled_at, email_verified_at, erased_at,
    (SELECT ARRAY[treatment, tax_number] FROM account_taxes WHERE account_id = accounts.id) AS taxes
"""

GET_ACCOUNT = f"SELECT {ACCOUNT_COLUMNS}, known_networks FROM accounts WHERE id = $1"  # noqa: S608 - constants

GET_ACCOUNT_BY_EMAIL = f"SELECT {ACCOUNT_COLUMNS}, known_networks FROM accounts WHERE email = $1"  # noqa: S608 - constants

RENAME_ACCOUNT = f"""
UPDATE accounts
   SET full_name = coalesce($2, full_name)
 WHERE id = $1 AND erased_at IS NULL
RETURNING {ACCOUNT_COLUMNS}
"""  # noqa: S608 - constants

# The old hash must still be the one that was verified: of two concurrent changes, the second fails.
REPLACE_HASH = """
UPDATE accounts
   SET password_hash = $3
 WHERE id = $1 AND password_hash = $2
RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to create; the e-mail address in lower case."""

    email: str
    full_name: str
    role: Role
    password_hash: str = field(repr=False)


@retry_conflicts
async def sign_up(
    pool: "Pool", new: NewAccount, mails_per_hour: int, key: IdempotencyKey | None = None, joining: Joining | None = None
) -> Account | Stored:
    """Create an account at the request of an anonymous client, and queue the mail that verifies its address; raises EmailTaken.

    A guest that signs up becomes the account, with all that it has. A guest's token that is wrong changes nothing.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _sign_up(conn, new, mails_per_hour, joining))


async def _sign_up(conn: "Conn", new: NewAccount, mails_per_hour: int, joining: Joining | None) -> Account:
    guest_id = await guests.lock(conn, joining.token_digest) if joining else None
    account = await _create(conn, new) if guest_id is None else await _upgrade(conn, guest_id, new)
    if account.email_verified_at:
        await joined_orders.join(conn, account.id)
    if joining:
        account = replace(account, joined=Merge(merged=guest_id is not None, mode=joining.mode))
    await mails.request(conn, account.email, Template.VERIFY_EMAIL, mails_per_hour)
    return account


@retry_conflicts
async def create_for(pool: "Pool", actor: Actor, new: NewAccount) -> Account:
    """Create an account on behalf of an actor, and write the audit log; raises EmailTaken."""
    async with transaction(pool) as conn:
        account = await _create(conn, new)
        await audit_log.append(conn, actor, "user.created", account.id, {}, {"role": new.role})
        return account


async def _create(conn: "Conn", new: NewAccount) -> Account:
    try:
        return to_account(await conn.fetchrow(INSERT_ACCOUNT, new.email, new.full_name, new.role, new.password_hash))
    except asyncpg.UniqueViolationError:
        raise EmailTaken(new.email) from None


async def _upgrade(conn: "Conn", guest_id: UUID, new: NewAccount) -> Account:
    try:
        return to_account(await conn.fetchrow(UPGRADE_GUEST, guest_id, new.email, new.full_name, new.role, new.password_hash))
    except asyncpg.UniqueViolationError:
        raise EmailTaken(new.email) from None


async def get(pool: "Pool", account_id: UUID) -> Account:
    """Return the caller's account; raises TokenInvalid if the account has been deleted or erased."""
    row = await pool.fetchrow(GET_ACCOUNT, account_id)
    if row is None or row["erased_at"]:
        raise TokenInvalid("the account of this token no longer exists")
    return to_account(row)


async def find(pool: "Pool", email: str) -> Account | None:
    """Return the account of an e-mail address (lower case), or None."""
    row = await pool.fetchrow(GET_ACCOUNT_BY_EMAIL, email)
    return to_account(row) if row else None


@retry_conflicts
async def rename(pool: "Pool", account_id: UUID, full_name: str | None, key: IdempotencyKey | None = None) -> Account | Stored:
    """Set the name of an account (None keeps it) and return the account; raises TokenInvalid if the account has been deleted."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _rename(conn, account_id, full_name))


async def _rename(conn: "Conn", account_id: UUID, full_name: str | None) -> Account:
    row = await conn.fetchrow(RENAME_ACCOUNT, account_id, full_name)
    if row is None:
        raise TokenInvalid("the account of this token no longer exists")
    return to_account(row)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """A command to replace the password whose hash is `old_hash`. The session of the command stays live; the others end."""

    account_id: UUID
    session_id: UUID
    counters: Counters
    """Where the failed logins of its address are counted."""
    old_hash: str = field(repr=False)
    new_hash: str = field(repr=False)


@retry_conflicts
async def change_password(pool: "Pool", new: NewPassword, key: IdempotencyKey | None = None) -> int | Stored:
    """Replace a password and end the account's other sessions; return their number. Raises PasswordWrong if the hash has changed."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _change_password(conn, new))


async def _change_password(conn: "Conn", new: NewPassword) -> int:
    await conn.execute(recovery.END_RESETS, new.account_id)  # before the account's row: the same lock order as a reset
    if await conn.fetchval(REPLACE_HASH, new.account_id, new.old_hash, new.new_hash) is None:
        raise PasswordWrong
    await login_attempts.forget(conn, new.counters)
    return await sessions.end_others(conn, new.account_id, SessionEnd.PASSWORD, keep=new.session_id)


def to_account(row: asyncpg.Record | None) -> Account:
    """Return the account of a row. One without taxes, as a new account is, is taxed normally."""
    fields = dict(row or {})
    fields["email"], fields["password_hash"] = fields["email"] or "", fields["password_hash"] or ""  # those of a guest are NULL
    treatment, number = fields.pop("taxes", None) or (TaxTreatment.NORMAL, "")
    return Account(**{**fields, "role": Role(fields["role"])}, tax_treatment=TaxTreatment(treatment), tax_number=number)
