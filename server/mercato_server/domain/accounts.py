"""Accounts, as the server knows them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

FULL_NAME_MAX = 200


class Role(StrEnum):
    """What an account may do; the values are those of the database."""

    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as stored."""

    id: UUID
    email: str
    full_name: str
    role: Role
    password_hash: str = field(repr=False)
    created_at: datetime
