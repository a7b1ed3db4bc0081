"""A session, and its text in a store."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from mercato._root_error import MercatoError

VERSION = 1
"""Of the text. A later release that changes the meaning of a field raises it."""
TIME_MAX_S = 1e12
"""A bound of times, far beyond all dates."""


class SessionStoreError(MercatoError):
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
        read: Any = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise SessionStoreError(f"{place} is damaged: it holds no session; log in again")
    content = cast("dict[str, Any]", read)
    if content.get("version") != VERSION:
        raise SessionStoreError(f"{place} was written by another release of mercato; log in again, or update")
    values: list[Any] = [content.get(name) for name in ("access_token", "refresh_token", "expires_at", "user", "email")]
    access_token, refresh_token, expires_at, user, email = values
    known = _is_time(expires_at) and _is_text(access_token) and _is_text(refresh_token)
    if not known or not all(each is None or _is_text(each) for each in (user, email)):
        raise SessionStoreError(f"{place} is damaged: a field of its session is missing or has another type; log in again")
    return Session(access_token, refresh_token, float(expires_at), user, email)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < TIME_MAX_S  # not true for NaN
