"""The files of pictures in a bucket of S3, or of another server that speaks its protocol.

`uploads/` has the files that clients send by signed URLs, `pictures/` the renditions under the names of their URLs, and `originals/` the
uploads that the operator wants to keep. Only this module knows obstore, and only a shop with a bucket loads it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import UUID

import obstore
import structlog
from cachetools import TTLCache
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from mercato_server.config.picture_settings import BucketSettings
from mercato_server.domain.picture_errors import PicturesUnavailable
from mercato_server.domain.pictures import NAME, RENDITION_MAX_BYTES, SIZES, UPLOAD_MAX_BYTES, name
from mercato_server.pictures.files import CHUNK, PictureFiles
from mercato_server.pictures.signing import signed
from mercato_server.pictures.storage import FileSizeError

if TYPE_CHECKING:
    from obstore.store import S3Credential

log = structlog.get_logger(__name__)

IMMUTABLE = {"Content-Type": "image/webp", "Cache-Control": "public, max-age=31536000, immutable"}
CONNECT_S = 3.0
STALLED_S = 10.0
"""Longest pause within an answer."""
REQUEST_S = 60.0
"""Time limit of a request with its answer: 20 MiB at 3 Mbit/s."""
RETRIES = 2
RETRY_S = 10.0
"""Time after which a request is not tried again."""
CALL_S = 1.5
"""Time limit for a rendition, as its call has two seconds in all."""
COMPLETE_S = 4.0
"""Time limit for a look at an upload, whose call has five."""
READS_MAX = 16
"""Renditions that a worker fetches at the same time."""
KEPT_BYTES = 32 * 1024 * 1024
"""Renditions in the memory of a worker."""
KEPT_S = 60.0
PIECE_BYTES = 256 * 1024
PART_BYTES = 5 * 1024 * 1024
"""Part of an original that a worker holds; S3 allows none smaller: docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""
CHUNKS_MAX = 20
"""Chunks of uploads of one sweep. More are not open at a time, so that those of a sweep do not hide others for ever."""
LINE_EVERY_S = 10.0
"""Least time between two lines of the log about failures."""
REFUSES, ABSENT = "its bucket refuses the key of the shop", "its bucket does not exist"
_UPLOAD = re.compile(r"uploads/(?P<file>[0-9a-f]{32})")


class Bucket:
    """The storage in a bucket."""

    takes_uploads = True
    upload_age_s = 60.0
    """By then a client has said that its file has come, unless it has died."""

    def __init__(self, settings: BucketSettings, files: PictureFiles) -> None:
        self.files = files
        self._settings = settings
        self._store = _store(settings)
        self._kept: TTLCache[str, bytes] = TTLCache(KEPT_BYTES, KEPT_S, getsizeof=len)
        self._reads = asyncio.Semaphore(READS_MAX)
        self._next_line = 0.0

    def upload_url(self, upload_id: UUID, created_at: datetime, expires_at: datetime, length: int) -> str:
        """Return a URL that takes one file of this length until the upload expires. The same upload always has the same URL."""
        lifetime_s = int((expires_at - created_at).total_seconds())
        headers = {"content-length": str(length)}
        return signed(self._settings, "PUT", f"uploads/{upload_id.hex}", created_at.astimezone(UTC), lifetime_s, headers)

    async def check(self) -> None:
        """Look for a file that is not there."""
        async with self._asking():
            await self._has("uploads/none")

    async def has_upload(self, file: str) -> bool:
        """Return whether the file of an upload is there."""
        async with self._asking(COMPLETE_S):
            return await self._has(f"uploads/{file}")

    async def fetch(self, file: str, work: Path) -> Path | None:
        """Fetch an upload, piece by piece. Its length is looked at before and while it comes."""
        path = work / "upload"
        async with self._asking():
            try:
                found = await obstore.get_async(self._store, f"uploads/{file}")
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
            _require_size(found.meta["size"])
            with path.open("xb") as target:
                await _receive(found.stream(PIECE_BYTES), target)
        return path

    async def drop(self, files: Sequence[str]) -> None:
        """Delete uploads."""
        await self._delete([f"uploads/{file}" for file in files])

    async def keep_original(self, upload: Path, digest: bytes) -> None:
        """Send the file that was verified: the upload may have been sent again meanwhile."""
        async with self._asking():
            await obstore.put_async(self._store, f"originals/{digest.hex()}", upload, chunk_size=PART_BYTES, max_concurrency=1)

    async def store(self, work: Path, digest: bytes) -> None:
        """Send renditions, also where they are there already: this mends a bucket that has lost one."""
        for size in SIZES:
            content = await asyncio.to_thread((work / size).read_bytes)
            async with self._asking():
                key = f"pictures/{name(digest, size)}"
                await obstore.put_async(self._store, key, content, attributes=IMMUTABLE, use_multipart=False)

    async def read(self, name: str) -> bytes | None:
        """Return a rendition, from the memory of the worker if it was read within a minute."""
        kept = self._kept.get(name)
        if kept is not None or not NAME.fullmatch(name):
            return kept
        async with self._asking(CALL_S), self._reads:
            try:
                found = await obstore.get_async(self._store, f"pictures/{name}")
            except FileNotFoundError as error:
                _require_bucket(error)
                return None
            if found.meta["size"] > RENDITION_MAX_BYTES:
                return None  # not of the shop
            content = bytes(await found.bytes_async())
        self._kept[name] = content
        return content

    async def remove(self, digests: Sequence[bytes]) -> None:
        """Delete renditions."""
        await self._delete([f"pictures/{name(digest, size)}" for digest in digests for size in SIZES])

    async def missing(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return the digests that lack a rendition, by the list of those between the first and the last."""
        there: set[str] = set()
        async for chunk in self._list("pictures", digests[0].hex(), digests[-1].hex()):
            there.update(found for found, _ in chunk)
        return [digest for digest in digests if not all(name(digest, size) in there for size in SIZES)]

    async def old_uploads(self, age_s: float) -> AsyncIterator[list[str]]:
        """Yield the names of uploads whose files came so long ago."""
        before = datetime.now(UTC) - timedelta(seconds=age_s)
        chunks = 0
        async for chunk in self._list("uploads", "", "g"):
            names = [found for found, changed in chunk if changed <= before and _UPLOAD.fullmatch(f"uploads/{found}")]
            if names:
                yield names
            chunks += 1
            if chunks >= CHUNKS_MAX:
                return

    async def old_digests(self, shelf: int, age_s: float) -> AsyncIterator[list[bytes]]:
        """Yield the digests of old renditions of one shelf."""
        before = datetime.now(UTC) - timedelta(seconds=age_s)
        async for chunk in self._list("pictures", f"{shelf:02x}", f"{shelf:02x}"):
            old = {found["digest"] for each, changed in chunk if changed <= before and (found := NAME.fullmatch(each))}
            if old:
                yield [bytes.fromhex(digest) for digest in sorted(old)]

    async def _list(self, folder: str, first: str, last: str) -> AsyncIterator[list[tuple[str, datetime]]]:
        """Yield, in chunks, the names in a folder with their times: those that begin with `first`, `last`, or anything between."""
        async with self._asking(None):
            listed = obstore.list(self._store, folder, offset=f"{folder}/{first}" if first else None, chunk_size=CHUNK)
            async for chunk in listed:
                names = [(each["path"].removeprefix(f"{folder}/"), each["last_modified"]) for each in chunk]
                yield [each for each in names if each[0][: len(last)] <= last]
                if names[-1][0][: len(last)] > last:
                    return

    async def _has(self, key: str) -> bool:
        try:
            found = await obstore.get_async(self._store, key)  # not HEAD, whose answer does not tell a missing bucket
        except FileNotFoundError as error:
            _require_bucket(error)
            return False
        return found.meta["size"] >= 0

    async def _delete(self, keys: Sequence[str]) -> None:
        """Delete objects. Some servers refuse to delete one that is not there, and obstore then leaves the others."""
        async with self._asking():
            try:
                await obstore.delete_async(self._store, keys)
            except FileNotFoundError as error:
                _require_bucket(error)
                if len(keys) == 1:
                    return
            else:
                return
        for key in keys:
            await self._delete([key])

    @asynccontextmanager
    async def _asking(self, limit_s: float | None = REQUEST_S) -> AsyncIterator[None]:
        """Bound the time of requests; raise PicturesUnavailable for their failures, of which the log tells more."""
        try:
            with _explained():
                async with asyncio.timeout(limit_s):
                    yield
        except _FailedError as error:
            if time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + LINE_EVERY_S
                log.warning("the bucket of pictures cannot be used", bucket=self._settings.url, cause=error.cause, detail=str(error))
            raise PicturesUnavailable(error.cause) from None


class _FailedError(Exception):
    """A request failed; the message is for the operator."""

    def __init__(self, cause: str, error: BaseException) -> None:
        super().__init__(str(error).partition("\n\nDebug source")[0][:500] or type(error).__name__)
        self.cause = cause


@contextmanager
def _explained() -> Iterator[None]:
    """Raise _FailedError for what went wrong with a bucket, in words that tell callers nothing of its address."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _FailedError(REFUSES, error) from None
    except FileNotFoundError as error:
        raise _FailedError(ABSENT, error) from None
    except TimeoutError as error:
        raise _FailedError("its bucket does not answer in time", error) from None
    except BaseError as error:  # lists have no errors of their own
        causes = {"NoSuchBucket": ABSENT, "403 Forbidden": REFUSES, "401 Unauthorized": REFUSES}
        raise _FailedError(next((causes[each] for each in causes if each in str(error)), "its bucket does not work"), error) from None


def _require_bucket(error: FileNotFoundError) -> None:
    """Raise an error that means that the whole bucket is not there, not a file of it."""
    if "NoSuchBucket" in str(error):
        raise error


def _require_size(size: int) -> None:
    if not 0 < size <= UPLOAD_MAX_BYTES:
        raise FileSizeError("it is empty" if size <= 0 else f"it has more than {UPLOAD_MAX_BYTES} bytes")


async def _receive(pieces: AsyncIterator[bytes], target: BinaryIO) -> None:
    size = 0
    async for piece in pieces:
        size += len(piece)
        _require_size(size)
        await asyncio.to_thread(target.write, piece)


def _store(settings: BucketSettings) -> S3Store:
    """Return a client of the bucket. All that matters is stated, as it would else take AWS_ variables from the environment."""
    key: S3Credential = {
        "access_key_id": settings.access_key_id,
        "secret_access_key": settings.secret_access_key,
        "token": None,
        "expires_at": None,
    }
    return S3Store(
        config={
            "aws_endpoint_url_s3": settings.url,
            "virtual_hosted_style_request": True,  # the address names the bucket
            "bucket": settings.url.rpartition("/")[2],
            "region": settings.region,
            "skip_signature": False,
            "disable_bulk_delete": True,  # not all servers know it
        },
        client_options={
            "allow_http": settings.url.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "read_timeout": timedelta(seconds=STALLED_S),
            "timeout": timedelta(seconds=REQUEST_S),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
        credential_provider=lambda: key,
    )
