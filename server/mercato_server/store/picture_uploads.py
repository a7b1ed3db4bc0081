"""Uploads of pictures: their states, their files, and the pictures that come of them."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import connection, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.picture_errors import PictureUploadNotFound, PictureUploadState, TooManyUploads
from mercato_server.domain.pictures import Renditions, Side, Upload
from mercato_server.store import audit_log
from mercato_server.store.idempotency import IdempotencyKey, Stored, once

OPEN_MAX = 1_000
"""Uploads that wait for their file or for a worker."""
LIFETIME_S = 3_600.0
"""Time in which an upload takes its file."""

_COLUMNS = """upload.id, state, upload.digest, widths, heights, refusal, message, upload.created_at, expires_at"""

# The states alone choose the index; rows that have expired stay for a day.
COUNT_OPEN = """
SELECT count(*)
  FROM (SELECT FROM picture_uploads WHERE state IN ('waiting', 'pending') AND (state = 'pending' OR expires_at > now()) LIMIT $1) AS counted
"""

INSERT_UPLOAD = """
INSERT INTO picture_uploads (expires_at)
VALUES (now() + make_interval(secs => $1))
RETURNING id, state, digest, NULL AS widths, NULL AS heights, refusal, message, created_at, expires_at
"""

GET_UPLOAD = f"""
SELECT {_COLUMNS}
  FROM picture_uploads AS upload
  LEFT JOIN pictures AS picture ON picture.digest = upload.digest AND condemned_at IS NULL
 WHERE upload.id = $1
"""  # noqa: S608 - constants

IS_WAITING = "SELECT state = 'waiting' AND expires_at > now() FROM picture_uploads WHERE id = $1"

# The job is queued in the transaction of its cause.
RECEIVE_UPLOAD = """
WITH received AS (
    UPDATE picture_uploads
       SET state = 'pending', file = $2
     WHERE id = $1 AND state = 'waiting' AND expires_at > now()
    RETURNING id, state, digest, refusal, message, created_at, expires_at
), job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status)
    SELECT 0, 'picture', uuid_send(id), 'picture:' || id, 'queued' FROM received
)
SELECT id, state, digest, NULL AS widths, NULL AS heights, refusal, message, created_at, expires_at FROM received
"""

GET_FILE = "SELECT file FROM picture_uploads WHERE id = $1 AND state = 'pending'"

REFUSE_UPLOAD = "UPDATE picture_uploads SET state = 'refused', refusal = $2, message = $3 WHERE id = $1 AND state = 'pending'"

# The sweep of files that have no row takes the same lock.
LOCK_CONTENT = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key ORDER BY key"

# A condemned picture lives again: its files are written once more, if they are gone.
INSERT_PICTURE = """
INSERT INTO pictures AS known (digest, widths, heights)
VALUES ($1, $2, $3)
    ON CONFLICT (digest) DO UPDATE
   SET unused_at = CASE WHEN known.unused_at IS NOT NULL THEN now() END, condemned_at = NULL
"""

ACCEPT_UPLOAD = "UPDATE picture_uploads SET state = 'ready', digest = $2 WHERE id = $1 AND state = 'pending'"

GET_DUE_UPLOADS = """
SELECT id
  FROM picture_uploads AS upload
 WHERE state = 'pending'
   AND NOT EXISTS (SELECT FROM pgqueuer AS job WHERE job.dedupe_key = 'picture:' || upload.id AND job.status IN ('queued', 'picked'))
 ORDER BY created_at
 LIMIT $1
"""

GET_NEEDED_FILES = "SELECT file FROM picture_uploads WHERE state = 'pending' AND file = ANY($1::text[])"


@retry_conflicts
async def create(pool: "Pool", actor: Actor, key: IdempotencyKey | None = None) -> Upload | Stored:
    """Create an upload; raises TooManyUploads."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, actor))


async def _create(conn: "Conn", actor: Actor) -> Upload:
    if await conn.fetchval(COUNT_OPEN, OPEN_MAX) >= OPEN_MAX:
        raise TooManyUploads(OPEN_MAX)
    upload = _upload(await conn.fetchrow(INSERT_UPLOAD, LIFETIME_S))
    await audit_log.append(conn, actor, "picture_upload.created", upload.id, {}, {"state": upload.state})
    return upload


async def get(pool: "Pool", upload_id: UUID) -> Upload:
    """Return an upload; raises PictureUploadNotFound."""
    async with connection(pool) as conn:
        row = await conn.fetchrow(GET_UPLOAD, upload_id)
    if row is None:
        raise PictureUploadNotFound(upload_id)
    return _upload(row)


async def require_waiting(pool: "Pool", upload_id: UUID) -> None:
    """Require an upload that takes a file; raises PictureUploadNotFound or PictureUploadState."""
    async with connection(pool) as conn:
        is_waiting = await conn.fetchval(IS_WAITING, upload_id)
    if is_waiting is None:
        raise PictureUploadNotFound(upload_id)
    if not is_waiting:
        raise PictureUploadState(upload_id)


@retry_conflicts
async def receive(pool: "Pool", upload_id: UUID, file: str, actor: Actor) -> Upload:
    """Record that the file of an upload has come, and queue its verification; raises PictureUploadState."""
    async with transaction(pool) as conn:
        row = await conn.fetchrow(RECEIVE_UPLOAD, upload_id, file)
        if row is None:
            raise PictureUploadState(upload_id)
        await audit_log.append(conn, actor, "picture_upload.received", upload_id, {"state": "waiting"}, {"state": row["state"]})
        return _upload(row)


async def pending_file(pool: "Pool", upload_id: UUID) -> str | None:
    """Return the name of the file of a pending upload; None if it is settled."""
    file: str | None = await pool.fetchval(GET_FILE, upload_id)
    return file


async def refuse(pool: "Pool", upload_id: UUID, reason: str, message: str) -> None:
    """Refuse the file of an upload."""
    await pool.execute(REFUSE_UPLOAD, upload_id, reason, message)


@retry_conflicts
async def accept(pool: "Pool", upload_id: UUID, picture: Renditions, store: Callable[[], Awaitable[None]]) -> None:
    """Add the picture of an upload, and call `store`, which writes its files, before the picture can be seen.

    A sweep cannot delete the files meanwhile: it waits for the row or for the lock of the content.
    """
    async with transaction(pool) as conn:
        await conn.execute(LOCK_CONTENT, [content_key(picture.digest)])
        widths, heights = ([getattr(side, name) for side in picture.sides] for name in ("width", "height"))
        await conn.execute(INSERT_PICTURE, picture.digest, widths, heights)
        await store()
        await conn.execute(ACCEPT_UPLOAD, upload_id, picture.digest)


async def due(pool: "Pool", limit: int) -> list[UUID]:
    """Return pending uploads whose job was lost, oldest first."""
    return [row["id"] for row in await pool.fetch(GET_DUE_UPLOADS, limit)]


async def needed(pool: "Pool", files: Sequence[str]) -> set[str]:
    """Return the files among these that a pending upload needs."""
    return {row["file"] for row in await pool.fetch(GET_NEEDED_FILES, files)}


def content_key(digest: bytes) -> int:
    """Return the number of the advisory lock of a picture's files."""
    return int.from_bytes(digest[:8], "big", signed=True)


def content_keys(digests: Collection[bytes]) -> list[int]:
    """Return the numbers of several advisory locks."""
    return [content_key(digest) for digest in digests]


def _upload(row: asyncpg.Record | None) -> Upload:
    found = dict(row or {})
    digest, widths, heights = (found.pop(name) for name in ("digest", "widths", "heights"))
    sides = tuple(Side(*side) for side in zip(widths, heights, strict=True)) if widths else ()
    return Upload(**found, picture=Renditions(digest, sides) if sides else None)
