"""The store of a client's session, from what its caller gives."""

import math

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
