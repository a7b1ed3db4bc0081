"""Accounts."""

from uuid import UUID

import asyncpg

from mercato_server.db import Pool
from mercato_server.domain.accounts import Account, Role
from mercato_server.domain.errors import EmailTaken

INSERT_ACCOUNT = """
INSERT INTO accounts (email, full_name, role, password_hash)
VALUES ($1, $2, $3, $4)
RETURNING id, email, full_name, role, password_hash, created_at
"""

GET_ACCOUNT = """
SELECT id, email, full_name, role, password_hash, created_at
  FROM accounts
 WHERE id = $1
"""

GET_ACCOUNT_BY_EMAIL = """
SELECT id, email, full_name, role, password_hash, created_at
  FROM accounts
 WHERE email = $1
"""

RENAME_ACCOUNT = """
UPDATE accounts
   SET full_name = $2
 WHERE id = $1
RETURNING id, email, full_name, role, password_hash, created_at
"""

IS_ADMIN = "SELECT role = 'admin' FROM accounts WHERE id = $1"


async def create(pool: "Pool", email: str, full_name: str, role: Role, password_hash: str) -> Account:
    """Create an account; raises EmailTaken."""
    try:
        row = await pool.fetchrow(INSERT_ACCOUNT, email, full_name, role, password_hash)
    except asyncpg.UniqueViolationError:
        raise EmailTaken(email) from None
    return _account(row)


async def get(pool: "Pool", account_id: UUID) -> Account | None:
    """Return the account, or None."""
    row = await pool.fetchrow(GET_ACCOUNT, account_id)
    return _account(row) if row else None


async def find(pool: "Pool", email: str) -> Account | None:
    """Return the account of an e-mail address (lower case), or None."""
    row = await pool.fetchrow(GET_ACCOUNT_BY_EMAIL, email)
    return _account(row) if row else None


async def rename(pool: "Pool", account_id: UUID, full_name: str) -> Account | None:
    """Change the name of an account and return it, or None if there is none."""
    row = await pool.fetchrow(RENAME_ACCOUNT, account_id, full_name)
    return _account(row) if row else None


async def is_admin(pool: "Pool", account_id: UUID) -> bool:
    """Tell whether the account is an administrator's now."""
    return bool(await pool.fetchval(IS_ADMIN, account_id))


def _account(row: asyncpg.Record | None) -> Account:
    fields = dict(row or {})
    return Account(**{**fields, "role": Role(fields["role"])})
