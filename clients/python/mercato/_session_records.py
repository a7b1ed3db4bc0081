"""A session, and its text in a store."""

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, TypeGuard

VERSION = 1
"""Of the text. A later release that changes the meaning of a field raises it."""


class SessionStoreError(Exception):
    """A stored session cannot be read, trusted or kept; the message names the place and what to do, and holds no token."""


@dataclass(frozen=True, slots=True)
class Session:
    """The tokens of a login. Its repr leaves them out."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float
    """When the access token expires, in seconds since 1970 by this machine's clock."""
    user: str | None = None
    """Id of the account, if known."""
    email: str | None = None
    """Address of the account, if known."""


def dumped(session: Session) -> str:
    """Return a session as JSON."""
    return json.dumps({"version": VERSION, **asdict(session)}, indent=1) + "\n"


def loaded(text: str, place: str) -> Session:
    """Read a session from JSON. Raises SessionStoreError that names the place; fields that it does not know are left out."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SessionStoreError(f"{place} is damaged: it holds no session; log in again")
    if content.get("version") != VERSION:
        raise SessionStoreError(f"{place} was written by another release of mercato; log in again, or update")
    expires_at = content.get("expires_at")
    access_token, refresh_token, user, email = map(content.get, ("access_token", "refresh_token", "user", "email"))
    texts = [access_token, refresh_token, *(each for each in (user, email) if each is not None)]
    if not _is_time(expires_at) or not all(isinstance(each, str) and each.isprintable() for each in texts):
        raise SessionStoreError(f"{place} is damaged: a field of its session is missing or has another type; log in again")
    return Session(access_token, refresh_token, float(expires_at), user, email)


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
