"""Accounts and their sessions, as the server knows them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

FULL_NAME_MAX = 200
SEARCH_MAX = 200
USER_AGENT_MAX = 200


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
    disabled_at: datetime | None
    email_verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and in which call; without an account it is somebody at the command line."""

    account_id: UUID | None
    request_id: str


COMMAND_LINE = Actor(None, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """Which accounts a list holds; None means any."""

    query: str | None = None
    role: Role | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a login comes from, as far as can be told."""

    user_agent: str
    ip_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A login as stored."""

    id: UUID
    user_agent: str
    ip_address: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class SessionEnd(StrEnum):
    """Why a session ended; the values are those of the database."""

    LOGOUT = "logout"
    REVOKED = "revoked"
    PASSWORD = "password"  # noqa: S105 - a reason
    REUSE = "reuse"
    DISABLED = "disabled"
