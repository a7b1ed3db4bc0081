"""The administration of accounts: lists, roles, taxes, and disabling."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple
from uuid import UUID

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import retry_conflicts, transaction
from mercato_server.domain.accounts import Account, AccountFilter, Actor, Role, SessionEnd
from mercato_server.domain.erasure_errors import AccountErased
from mercato_server.domain.errors import AdminOnly, GuestRole, LastAdmin, UserNotFound
from mercato_server.domain.paging import Page, Position
from mercato_server.domain.taxes import TaxTreatment
from mercato_server.store import audit_log, sessions
from mercato_server.store.accounts import ACCOUNT_COLUMNS, GET_ACCOUNT, to_account
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

# The statement locks all administrators: if two demote each other, the second transaction sees the effect of the first. One lock order
# prevents deadlocks.
LOCK_ADMINS = f"""
SELECT {ACCOUNT_COLUMNS}
  FROM accounts
 WHERE role = 'admin' OR id = $1
 ORDER BY id
   FOR NO KEY UPDATE
"""  # noqa: S608 - constants

# It runs while the account is locked, and before the statement that returns the account.
PUT_TAXES = """
INSERT INTO account_taxes (account_id, treatment, tax_number)
VALUES ($1, $2, $3)
    ON CONFLICT (account_id) DO UPDATE
   SET treatment = excluded.treatment, tax_number = excluded.tax_number, updated_at = now()
"""

UPDATE_ACCOUNT = f"""
UPDATE accounts
   SET role = coalesce($2, role), disabled_at = CASE WHEN $3 THEN coalesce(disabled_at, now()) END
 WHERE id = $1
RETURNING {ACCOUNT_COLUMNS}
"""  # noqa: S608 - constants

# The best plan depends on the text: the index of trigrams for rare texts, the index of ids for common ones.
PLAN_FOR_THE_TEXT = "SET LOCAL plan_cache_mode = force_custom_plan"

# Without a role, guests are left out: they may be many more than the accounts.
_ROLES = {
    None: " AND role <> 'guest'",
    Role.USER: " AND role = 'user'",
    Role.ADMIN: " AND role = 'admin'",
    Role.GUEST: " AND role = 'guest'",
}
_DISABLED = {None: "", True: " AND disabled_at IS NOT NULL", False: " AND disabled_at IS NULL"}
# The text is folded before it is escaped, because folding may produce a wildcard of LIKE.
_TEXT = r" AND fold(email || ' ' || full_name) LIKE '%' || regexp_replace(fold($3), '([\\%_])', '\\\1', 'g') || '%'"


class BuyerTaxes(NamedTuple):
    """How a buyer is taxed, and the number by which the state knows a buyer who is not taxed normally."""

    treatment: TaxTreatment
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A command to change an account; None keeps the current value."""

    user_id: UUID
    role: Role | None
    disabled: bool | None
    taxes: BuyerTaxes | None = None
    actor: Actor


async def get(pool: "Pool", user_id: UUID) -> Account:
    """Return an account; raises UserNotFound."""
    row = await pool.fetchrow(GET_ACCOUNT, user_id)
    if row is None:
        raise UserNotFound(user_id)
    return to_account(row)


@cache
def list_sql(*, query: bool, role: Role | None, disabled: bool | None) -> str:
    """Return the statement of a list with these conditions; its parameters are the position, LIMIT, then the text."""
    return f"""
    SELECT {ACCOUNT_COLUMNS}
      FROM accounts
     WHERE id < $1{_ROLES[role]}{_DISABLED[disabled]}{_TEXT if query else ""}
     ORDER BY id DESC
     LIMIT $2
    """  # noqa: S608 - constants


@retry_conflicts
async def users(pool: "Pool", wanted: AccountFilter, page: Page) -> tuple[Sequence[Account], Position | None]:
    """Return a page of accounts, newest first, and the position of its last row if more follow."""
    statement = list_sql(query=wanted.query is not None, role=wanted.role, disabled=wanted.disabled)
    values = (page.below, page.size + 1, *([] if wanted.query is None else [wanted.query]))
    async with pool.acquire() as conn, conn.transaction(readonly=True):
        await conn.execute(PLAN_FOR_THE_TEXT)
        rows = await conn.fetch(statement, *values)
    found = [to_account(row) for row in rows[: page.size]]
    return found, Position(None, found[-1].id) if len(rows) > page.size else None


@retry_conflicts
async def update(pool: "Pool", change: Update, key: IdempotencyKey | None = None) -> Account | Stored:
    """Change the role or the taxes of an account, or disable or enable it; disabling ends its sessions.

    Raises UserNotFound, AccountErased, LastAdmin, GuestRole, or AdminOnly if the actor is no longer an administrator.
    """
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _update(conn, change))


async def _update(conn: "Conn", change: Update) -> Account:
    locked = {row["id"]: to_account(row) for row in await conn.fetch(LOCK_ADMINS, change.user_id)}
    current = locked.get(change.user_id)
    if current is None:
        raise UserNotFound(change.user_id)
    if current.erased_at:
        raise AccountErased
    admins = {account.id for account in locked.values() if account.role is Role.ADMIN and account.disabled_at is None}
    role = current.role if change.role is None else change.role
    disabled = current.disabled_at is not None if change.disabled is None else change.disabled
    if admins == {current.id} and (disabled or role is not Role.ADMIN):
        raise LastAdmin
    if change.actor.id not in admins:
        raise AdminOnly
    if current.role is Role.GUEST and role is not Role.GUEST:
        raise GuestRole
    if change.taxes:
        await conn.execute(PUT_TAXES, current.id, change.taxes.treatment, change.taxes.number)
    account = to_account(await conn.fetchrow(UPDATE_ACCOUNT, current.id, change.role, disabled))
    if disabled:
        await sessions.end_others(conn, account.id, SessionEnd.DISABLED)
    await audit_log.append(conn, change.actor, "user.updated", account.id, _fields(current), _fields(account))
    return account


def _fields(account: Account) -> dict[str, object]:
    """Return the fields of an account that the audit log records."""
    return {
        "role": account.role,
        "disabled": account.disabled_at is not None,
        "tax_treatment": account.tax_treatment,
        "tax_number": account.tax_number,
    }
