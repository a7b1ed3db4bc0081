"""Uploads of pictures to a shop under test, whose files are in a directory or in a bucket."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody

from mercato.v1 import media_pb2
from mercato.v1.catalog_pb2 import Product
from mercato.v1.picture_pb2 import Picture
from mercato_server.config.picture_settings import BucketSettings
from mercato_server.config.settings import Settings
from mercato_server.database.pool import small_pool
from mercato_server.domain.pictures import UPLOAD_MAX_BYTES
from mercato_server.jobs.runner import Runner
from mercato_server.pictures.storage import Storage, storage_of
from mercato_server.pictures.verifier import Verifier
from support.patience import until
from support.s3_server import objects, put
from support.shop import CALL_S, Person, Shop

PIECE_BYTES = 100_000


def contents(upload_id: str, content: bytes) -> AsyncIterator[media_pb2.UploadPictureContentRequest]:
    """Return the messages by which a gRPC client sends a file."""

    async def sent() -> AsyncIterator[media_pb2.UploadPictureContentRequest]:
        for at in range(0, max(1, len(content)), PIECE_BYTES):
            piece = HttpBody(data=content[at : at + PIECE_BYTES])
            yield media_pb2.UploadPictureContentRequest(upload_id="" if at else upload_id, content=piece)

    return sent()


async def created(shop: Shop, admin: Person, length: int = 0) -> media_pb2.PictureUpload:
    """Create an upload of a file of this length."""
    create = media_pb2.CreatePictureUploadRequest(content_length=length)
    upload: media_pb2.PictureUpload = await shop.media.CreatePictureUpload(create, metadata=admin.metadata, timeout=CALL_S)
    return upload


async def completed(shop: Shop, admin: Person, upload_id: str) -> media_pb2.PictureUpload:
    """Say that the file of an upload has come."""
    complete = media_pb2.CompletePictureUploadRequest(upload_id=upload_id)
    upload: media_pb2.PictureUpload = await shop.media.CompletePictureUpload(complete, metadata=admin.metadata, timeout=CALL_S)
    return upload


async def sent(shop: Shop, admin: Person, content: bytes) -> media_pb2.PictureUpload:
    """Create an upload and send its file, to the shop or to the bucket."""
    upload = await created(shop, admin, len(content) if len(content) <= UPLOAD_MAX_BYTES else 0)
    if not upload.upload_url.startswith("/"):
        reply = await put(upload.upload_url, content)
        assert reply.is_success, reply.text
        return await completed(shop, admin, upload.id)
    answer: media_pb2.PictureUpload = await shop.media.UploadPictureContent(
        contents(upload.id, content), metadata=admin.metadata, timeout=CALL_S
    )
    return answer


async def settled(shop: Shop, admin: Person, upload_id: str) -> media_pb2.PictureUpload:
    """Wait until an upload is settled."""
    request = media_pb2.GetPictureUploadRequest(upload_id=upload_id)

    async def outcome() -> media_pb2.PictureUpload | None:
        upload = await shop.media.GetPictureUpload(request, metadata=admin.metadata, timeout=CALL_S)
        return None if upload.state == media_pb2.PICTURE_UPLOAD_STATE_PENDING else upload

    found = await until(outcome)
    assert found is not None
    return found


async def uploaded(shop: Shop, admin: Person, content: bytes) -> Picture:
    """Upload a picture and wait until it is ready, and until its job has ended: the job drops the uploaded file last."""
    upload = await settled(shop, admin, (await sent(shop, admin, content)).id)
    assert upload.state == media_pb2.PICTURE_UPLOAD_STATE_READY, upload
    ended = "SELECT NOT EXISTS (SELECT FROM pgqueuer WHERE entrypoint = 'picture' AND payload = uuid_send($1))"
    await until(partial(shop.pool.fetchval, ended, UUID(upload.id)))
    return upload.picture


async def show(shop: Shop, admin: Person, product_id: str, ids: Collection[str], etag: str = "") -> Product:
    shown = [media_pb2.SetProductPicturesRequest.Shown(picture_id=each, alt=f"of {each[:4]}") for each in ids]
    request = media_pb2.SetProductPicturesRequest(product_id=product_id, pictures=shown, etag=etag)
    product: Product = await shop.media.SetProductPictures(request, metadata=admin.metadata, timeout=CALL_S)
    return product


def ended_by(number: int) -> tuple[str, ...]:
    """Return a command that a signal ends."""
    return sys.executable, "-c", f"import os; os.kill(os.getpid(), {number:d})"


@asynccontextmanager
async def verifying(settings: Settings) -> AsyncIterator[Storage]:
    """Run the jobs of pictures during a block, beside a worker that runs none."""
    storage = own_storage(settings)
    async with small_pool(settings.database_url) as pool:
        runner = Runner(pool, [Verifier(pool, storage, keep_originals=settings.pictures.keep_originals).queue])
        task = asyncio.ensure_future(runner.run())
        yield storage
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def own_storage(settings: Settings) -> Storage:
    """Return the storage of settings that have one."""
    storage = storage_of(settings.pictures)
    assert storage is not None
    return storage


def own_directory(settings: Settings, directory: Path, bucket: BucketSettings | None = None) -> Settings:
    """Return settings with a directory of pictures that no other test uses, and perhaps with a bucket."""
    return replace(settings, pictures=replace(settings.pictures, directory=directory, bucket=bucket))


def left(settings: Settings) -> list[str]:
    """Return the names of all files, in the directory and in the bucket."""
    pictures = settings.pictures
    assert pictures.directory is not None
    files = [path.name for path in pictures.directory.rglob("*") if path.is_file()]
    stored = objects(pictures.bucket) if pictures.bucket else []
    return sorted([*files, *(key.rpartition("/")[2] for key in stored)])
