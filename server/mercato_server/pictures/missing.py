"""Finds pictures whose files are missing, for `mercato verify --deep`."""

from time import perf_counter

from mercato_server.database.pool import Conn
from mercato_server.pictures.storage import Storage
from mercato_server.store import picture_invariants
from mercato_server.store.invariants import Invariant, Query
from mercato_server.store.verify import EXAMPLES, Finding

FILES = Invariant("picture files", "each picture that can be shown has its files", Query(picture_invariants.LIST_DIGESTS))
"""Checked on request only: the files are outside of the database."""


async def find(conn: "Conn", storage: Storage) -> Finding:
    """Look for the files of all pictures, some hundred at a time; keep the first that lack one, and count the others.

    Raises PicturesUnavailable. A picture that a sweep deletes meanwhile counts as none.
    """
    start, violations = perf_counter(), 0
    examples: list[str] = []
    last = b""
    while digests := await picture_invariants.digests_after(conn, last):
        last = digests[-1]
        if absent := await storage.missing(digests):
            lost = await picture_invariants.showable(conn, absent)
            violations += len(lost)
            examples += [f"picture_id={digest.hex()}" for digest in lost]
            del examples[EXAMPLES:]
    return Finding(FILES, violations, tuple(examples), perf_counter() - start)
