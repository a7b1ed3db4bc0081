"""The store of a client's session, from what its caller gives."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from mercato.sessions import MemoryStore, Session, SessionStore


def store_of(token: str | None, session: Session | SessionStore | None) -> SessionStore:
    """Return the store; raises TypeError for a token beside a session."""
    if token is not None and session is not None:
        raise TypeError("a client takes token or session, not both")
    if token is not None:
        return MemoryStore(Session(token, "", math.inf))
    if session is None or isinstance(session, Session):
        return MemoryStore(session)
    return session


async def in_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Read or write a store, which may wait for a disk or a lock; it ends also if the caller is cancelled."""
    await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, work, *arguments))
