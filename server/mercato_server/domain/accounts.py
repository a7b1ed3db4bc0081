"""Accounts and their sessions, as the server knows them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self
from uuid import UUID

FULL_NAME_MAX = 200
SEARCH_MAX = 200
USER_AGENT_MAX = 200


class Role(StrEnum):
    """What an account may do; the values are those of the database."""

    USER = "user"
    ADMIN = "admin"
    UNKNOWN = "unknown"
    """A role of a later release: it is read, and never written. It allows what USER does."""

    @classmethod
    def _missing_(cls, _: object) -> Self:
        return cls.UNKNOWN


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


class ActorKind(StrEnum):
    """In which capacity something is done; the values are those of the database."""

    BUYER = "buyer"
    ADMINISTRATOR = "administrator"
    SYSTEM = "system"
    """The server itself, or an operator at the command line."""
    UNKNOWN = "unknown"
    """A kind of a later release: it is read, and never written."""

    @classmethod
    def _missing_(cls, _: object) -> Self:
        return cls.UNKNOWN


class Actor(NamedTuple):
    """Who does something, and in which call. The id is that of an account for buyers and administrators; the system has none."""

    kind: ActorKind
    id: UUID | None
    request_id: str = ""


COMMAND_LINE = Actor(ActorKind.SYSTEM, None)


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
