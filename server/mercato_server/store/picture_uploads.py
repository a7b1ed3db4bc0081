"""Uploads of pictures: their states, their files, and the pictures that come of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import asyncpg

from mercato_server.database.pool import Conn, Pool
from mercato_server.database.transactions import connection, retry_conflicts, transaction
from mercato_server.domain.accounts import Actor
from mercato_server.domain.picture_errors import PictureUploadNotFound, PictureUploadState, TooManyUploads
from mercato_server.domain.pictures import Renditions, Side, Upload
from mercato_server.store import audit_log
from mercato_server.store.idempotency import IdempotencyKey, Stored, once
from mercato_server.store.jobs import TRACE

OPEN_MAX = 1_000
"""Uploads that wait for their file or for a worker."""
LIFETIME_S = 3_600.0
"""Time in which an upload takes its file."""
LEASE_S = 600.0
"""Time for which the files of a picture are leased: longer than its holder works with them."""
STORE_S = 240.0
"""Time limit for storing the files of a picture."""

_COLUMNS = """upload.id, state, upload.digest, widths, heights, refusal, message, upload.created_at, expires_at, content_length"""

_NEW = "id, state, digest, NULL AS widths, NULL AS heights, refusal, message, created_at, expires_at, content_length"
"""The columns of an upload that has no picture yet."""

# The job is queued in the transaction of its cause.
_QUEUED = f"""job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status, headers)
    SELECT 0, 'picture', uuid_send(id), 'picture:' || id, 'queued', {TRACE} FROM received
)"""  # noqa: S608 - our own text

# The states alone choose the index; rows that have expired stay for a day.
COUNT_OPEN = """
SELECT count(*)
  FROM (SELECT FROM picture_uploads WHERE state IN ('waiting', 'pending') AND (state = 'pending' OR expires_at > now()) LIMIT $1) AS counted
"""

INSERT_UPLOAD = f"""
INSERT INTO picture_uploads (expires_at, content_length)
VALUES (now() + make_interval(secs => $1), $2)
RETURNING {_NEW}
"""  # noqa: S608 - constants

GET_UPLOAD = f"""
SELECT {_COLUMNS}
  FROM picture_uploads AS upload
  LEFT JOIN pictures AS picture ON picture.digest = upload.digest AND condemned_at IS NULL
 WHERE upload.id = $1
"""  # noqa: S608 - constants

IS_WAITING = "SELECT state = 'waiting' AND expires_at > now() FROM picture_uploads WHERE id = $1"

RECEIVE_UPLOAD = f"""
WITH received AS (
    UPDATE picture_uploads
       SET state = 'pending', file = $2
     WHERE id = $1 AND state = 'waiting' AND expires_at > now()
    RETURNING id, state, digest, refusal, message, created_at, expires_at, content_length
), {_QUEUED}
SELECT {_NEW} FROM received
"""  # noqa: S608 - constants

# The storage takes no file of an upload that has expired, so one that is there came in time.
RECEIVE_STORED = f"""
WITH received AS (
    UPDATE picture_uploads
       SET state = 'pending', file = replace(id::text, '-', '')
     WHERE id IN (SELECT id FROM picture_uploads WHERE id = ANY($1::uuid[]) AND state = 'waiting' ORDER BY id FOR UPDATE)
    RETURNING id
), {_QUEUED}
SELECT id FROM received
"""  # noqa: S608 - constants

GET_FILE = "SELECT file FROM picture_uploads WHERE id = $1 AND state = 'pending'"

REFUSE_UPLOAD = "UPDATE picture_uploads SET state = 'refused', refusal = $2, message = $3 WHERE id = $1 AND state = 'pending'"

# A new picture cannot be shown before its files are stored. One that can be stays so meanwhile. A sweep's lease holds as long as it lasts.
LEASE_PICTURE = """
INSERT INTO pictures AS known (digest, widths, heights, condemned_at, lease, leased_until)
VALUES ($1, $2, $3, now(), $4, now() + make_interval(secs => $5))
    ON CONFLICT (digest) DO UPDATE
   SET widths = excluded.widths, heights = excluded.heights, lease = excluded.lease, leased_until = excluded.leased_until,
       unused_at = CASE WHEN known.unused_at IS NOT NULL THEN now() END
 WHERE known.lease IS NULL OR known.lease = excluded.lease OR known.leased_until < now()
RETURNING true
"""

# A condemned picture lives again.
ACCEPT_PICTURE = """
UPDATE pictures
   SET unused_at = CASE WHEN unused_at IS NOT NULL THEN now() END, condemned_at = NULL, lease = NULL, leased_until = NULL
 WHERE digest = $1 AND lease = $2
RETURNING true
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


class ContentBusyError(Exception):
    """Another worker stores or deletes the same picture; another try may succeed."""


@retry_conflicts
async def create(pool: "Pool", actor: Actor, length: int | None, key: IdempotencyKey | None = None) -> Upload | Stored:
    """Create an upload for a file of `length` bytes, None if the client has not said; raises TooManyUploads."""
    async with transaction(pool) as conn:
        return await once(conn, key, lambda: _create(conn, actor, length))


async def _create(conn: "Conn", actor: Actor, length: int | None) -> Upload:
    if await conn.fetchval(COUNT_OPEN, OPEN_MAX) >= OPEN_MAX:
        raise TooManyUploads(OPEN_MAX)
    upload = _upload(await conn.fetchrow(INSERT_UPLOAD, LIFETIME_S, length))
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


@retry_conflicts
async def receive_stored(pool: "Pool", upload_ids: Sequence[UUID], actor: Actor) -> None:
    """Record that the files of those uploads that still wait have come to the storage, and queue their verification."""
    async with transaction(pool) as conn:
        received = [row["id"] for row in await conn.fetch(RECEIVE_STORED, upload_ids)]
        entries = [("picture_upload.received", id_, {"state": "waiting"}, {"state": "pending"}) for id_ in received]
        if entries:
            await audit_log.append_all(conn, actor, entries)


async def pending_file(pool: "Pool", upload_id: UUID) -> str | None:
    """Return the name of the file of a pending upload; None if it is settled."""
    file: str | None = await pool.fetchval(GET_FILE, upload_id)
    return file


async def refuse(pool: "Pool", upload_id: UUID, reason: str, message: str) -> None:
    """Refuse the file of an upload."""
    await pool.execute(REFUSE_UPLOAD, upload_id, reason, message)


async def accept(pool: "Pool", upload_id: UUID, picture: Renditions, store: Callable[[], Awaitable[None]]) -> None:
    """Add the picture of an upload, and call `store`, which writes its files, before the picture can be seen.

    A lease keeps sweeps from the files meanwhile, and no transaction waits for them. Raises ContentBusyError, and what `store` raises.
    """
    await _lease(pool, upload_id, picture)
    async with asyncio.timeout(STORE_S):
        await store()
    await _accept(pool, upload_id, picture.digest)


@retry_conflicts
async def _lease(pool: "Pool", upload_id: UUID, picture: Renditions) -> None:
    widths, heights = ([getattr(side, name) for side in picture.sides] for name in ("width", "height"))
    async with transaction(pool) as conn:
        if not await conn.fetchval(LEASE_PICTURE, picture.digest, widths, heights, upload_id, LEASE_S):
            raise ContentBusyError("another worker stores or deletes the same picture")


@retry_conflicts
async def _accept(pool: "Pool", upload_id: UUID, digest: bytes) -> None:
    async with transaction(pool) as conn:
        if not await conn.fetchval(ACCEPT_PICTURE, digest, upload_id):
            raise ContentBusyError("the picture took too long to store")
        await conn.execute(ACCEPT_UPLOAD, upload_id, digest)


async def due(pool: "Pool", limit: int) -> list[UUID]:
    """Return pending uploads whose job was lost, oldest first."""
    return [row["id"] for row in await pool.fetch(GET_DUE_UPLOADS, limit)]


async def needed(pool: "Pool", files: Sequence[str]) -> set[str]:
    """Return the files among these that a pending upload needs."""
    return {row["file"] for row in await pool.fetch(GET_NEEDED_FILES, files)}


def _upload(row: asyncpg.Record | None) -> Upload:
    found = dict(row or {})
    digest, widths, heights = (found.pop(name) for name in ("digest", "widths", "heights"))
    sides = tuple(Side(*side) for side in zip(widths, heights, strict=True)) if widths else ()
    return Upload(**found, picture=Renditions(digest, sides) if sides else None)
