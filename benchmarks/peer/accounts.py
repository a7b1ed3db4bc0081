"""Identify the caller of a request."""

from dataclasses import dataclass
from uuid import UUID

import jwt
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from peer.refusals import token_invalid
from peer.tables import Account, Session

REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "sid", "jti"]

LIVE = (
    select(Account.role)
    .join(Session, Session.account_id == Account.id)
    .where(Session.id == bindparam("session"), Session.ended_at.is_(None), Session.expires_at > func.now(), Account.disabled_at.is_(None))
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The account and the session that a token names."""

    account_id: UUID
    session_id: UUID


def identify(authorization: str | None, secret: str) -> Caller:
    """Return the caller that the header names, or refuse."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise token_invalid()
    try:
        claims = jwt.decode(
            token.strip(), secret, algorithms=["HS256"], issuer="mercato", audience="mercato", options={"require": REQUIRED_CLAIMS}
        )
        return Caller(UUID(claims["sub"]), UUID(claims["sid"]))
    except (jwt.InvalidTokenError, ValueError):
        raise token_invalid() from None


async def require_live(db: AsyncSession, caller: Caller) -> None:
    """Refuse a caller whose session has ended or whose account is closed, by the current rows of the database."""
    if (await db.execute(LIVE, {"session": caller.session_id})).first() is None:
        raise token_invalid()
