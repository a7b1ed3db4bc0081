"""Accounts, actors and sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.cart_merges import Merge
from mercato_server.domain.enums import OpenEnum
from mercato_server.domain.networks import network_of
from mercato_server.domain.taxes import TaxTreatment

FULL_NAME_MAX = 200
SEARCH_MAX = 200
USER_AGENT_MAX = 200
TAX_NUMBER_MAX = 50


class Role(OpenEnum):
    """The role of an account, which decides its permissions; the values are those of the database."""

    USER = "user"
    ADMIN = "admin"
    GUEST = "guest"
    """A buyer without e-mail address and password. A session of a guest has this role also after a sign-up has upgraded its account."""
    UNKNOWN = "unknown"
    """A role of a later release: it is read, and never written. It allows what USER does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account as stored."""

    id: UUID
    email: str
    """Empty for a guest."""
    full_name: str
    role: Role
    password_hash: str = field(repr=False)
    """Empty for a guest; no password verifies against it."""
    created_at: datetime
    disabled_at: datetime | None
    email_verified_at: datetime | None
    tax_treatment: TaxTreatment = TaxTreatment.NORMAL
    tax_number: str = ""
    """The number by which the state knows a buyer who is not taxed normally; else empty."""
    known_networks: Sequence[bytes] = ()
    """Digests of the networks of its last logins; empty unless they were asked for."""
    joined: Merge | None = None
    """Report of the guest that has signed up, if the request named one."""
    erased_at: datetime | None = None
    """When the owner's data was erased; the account then has an id and a role only."""


class ActorKind(OpenEnum):
    """The capacity in which an actor acts; the values are those of the database."""

    BUYER = "buyer"
    ADMINISTRATOR = "administrator"
    SYSTEM = "system"
    """The server itself, or an operator at the command line."""
    PROVIDER = "provider"
    """A payment provider, that is, money that came or went there."""
    UNKNOWN = "unknown"
    """A kind that a later release has written. This release reads it and never writes it."""


class Actor(NamedTuple):
    """The author of a change, and the call that makes it. Buyers and administrators have the id of their account; the system has none."""

    kind: ActorKind
    id: UUID | None
    request_id: str = ""


COMMAND_LINE = Actor(ActorKind.SYSTEM, None)
SERVER = Actor(ActorKind.SYSTEM, None)
"""A worker that acts by itself."""
PROVIDER = Actor(ActorKind.PROVIDER, None)
"""A payment provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFilter:
    """The conditions of a list of accounts; None sets no condition."""

    query: str | None = None
    role: Role | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The client that logs in, as far as the server can see it."""

    user_agent: str
    ip_address: str

    @property
    def network(self) -> str:
        """The part of the address that counts as one client."""
        return network_of(self.ip_address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as stored; each login opens one."""

    id: UUID
    user_agent: str
    ip_address: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class SessionEnd(StrEnum):
    """The reason for the end of a session; the values are those of the database."""

    LOGOUT = "logout"
    REVOKED = "revoked"
    PASSWORD = "password"  # noqa: S105 - a reason
    REUSE = "reuse"
    DISABLED = "disabled"
