"""The RPCs of MediaService."""

from collections.abc import AsyncIterator
from datetime import UTC
from typing import cast
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody

from mercato.v1 import catalog_pb2, media_pb2
from mercato_server.config.settings import Settings
from mercato_server.database.pool import Pool
from mercato_server.domain.catalog import Product
from mercato_server.domain.errors import InvalidRequest, Violation
from mercato_server.domain.picture_errors import PictureNotFound
from mercato_server.domain.pictures import ALT_MAX, DIGEST_BYTES, PICTURES_MAX, UPLOAD_MAX_BYTES, Upload
from mercato_server.handlers import convert, convert_pictures
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.pictures.inbox import Inbox
from mercato_server.pictures.storage import Storage
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import catalog, picture_uploads
from mercato_server.validation.checks import Checks

Contents = AsyncIterator[media_pb2.UploadPictureContentRequest]


class MediaHandler:
    """Takes uploads, shows pictures with products, and serves their files."""

    def __init__(self, pool: "Pool", idempotency: Idempotency, settings: Settings, inbox: Inbox) -> None:
        self._pool = pool
        self._idempotency = idempotency
        self._currency = settings.currency
        self._base = settings.pictures.url
        self._inbox = inbox

    async def CreatePictureUpload(self, request: media_pb2.CreatePictureUploadRequest, context: Context) -> Answer:
        """Create an upload."""
        storage = self._inbox.storage
        with Checks() as check:
            length = _length(check, request.content_length, is_needed=storage.takes_uploads)
        key = self._idempotency.key(context, request, self._upload)
        made = answer(context, await picture_uploads.create(self._pool, context.actor, length, key), self._upload)
        return _signed(made, storage) if storage.takes_uploads else made

    async def UploadPictureContent(self, requests: Contents, context: Context) -> media_pb2.PictureUpload:
        """Take the file of an upload."""
        first = await anext(requests, None)
        if first is None:
            raise InvalidRequest([Violation("upload_id", "is required")])
        with Checks() as check:
            upload_id = check.uuid("upload_id", first.upload_id)
        return self._upload(await self._inbox.receive(upload_id, _pieces(first, requests), context.actor))

    async def CompletePictureUpload(self, request: media_pb2.CompletePictureUploadRequest, context: Context) -> media_pb2.PictureUpload:
        """Take up the file of an upload that the client has sent to the storage."""
        with Checks() as check:
            upload_id = check.uuid("upload_id", request.upload_id)
        return self._upload(await self._inbox.complete(upload_id, context.actor))

    async def GetPictureUpload(self, request: media_pb2.GetPictureUploadRequest, _context: Context) -> media_pb2.PictureUpload:
        """Return an upload."""
        with Checks() as check:
            upload_id = check.uuid("upload_id", request.upload_id)
        return self._upload(await picture_uploads.get(self._pool, upload_id))

    async def SetProductPictures(self, request: media_pb2.SetProductPicturesRequest, context: Context) -> Answer:
        """Show pictures with a product."""
        with Checks() as check:
            product_id = check.uuid("product_id", request.product_id)
            etags = expected_etags(check, context, "etag", request.etag)
            wanted = _wanted(check, request)
        change = catalog.PicturesChange(product_id=product_id, pictures=wanted, etags=etags, actor=context.actor)
        key = self._idempotency.key(context, request, self._product)
        return answer(context, await catalog.set_pictures(self._pool, change, key), self._product)

    async def GetPicture(self, request: media_pb2.GetPictureRequest, _context: Context) -> HttpBody:
        """Return a rendition."""
        content = await self._inbox.read(request.name)
        if content is None:
            raise PictureNotFound(request.name[:100])
        return HttpBody(content_type="image/webp", data=content)

    def _upload(self, upload: Upload) -> media_pb2.PictureUpload:
        return convert_pictures.upload(upload, self._base, to_shop=not self._inbox.takes_uploads)

    def _product(self, product: Product) -> catalog_pb2.Product:
        return convert.product(product, self._currency, self._base)


async def _pieces(first: media_pb2.UploadPictureContentRequest, requests: Contents) -> AsyncIterator[bytes]:
    yield first.content.data
    async for request in requests:
        yield request.content.data


def _length(check: Checks, stated: int, *, is_needed: bool) -> int | None:
    """Check the length of a file; None if it is neither stated nor needed."""
    return check.between("content_length", stated, 1, UPLOAD_MAX_BYTES) if stated or is_needed else None


def _signed(made: Answer, storage: Storage) -> media_pb2.PictureUpload:
    """Return a new upload with the URL that takes its file. An idempotency key stores the answer without it, as it is a permission."""
    upload = media_pb2.PictureUpload.FromString(made) if isinstance(made, bytes) else cast("media_pb2.PictureUpload", made)
    created_at, expires_at = upload.create_time.ToDatetime(UTC), upload.expire_time.ToDatetime(UTC)
    upload.upload_url = storage.upload_url(UUID(upload.id), created_at, expires_at, upload.content_length)
    return upload


def _wanted(check: Checks, request: media_pb2.SetProductPicturesRequest) -> list[tuple[bytes, str]]:
    """Check the pictures of a request, and return their digests with their texts."""
    found: dict[bytes, str] = {}
    for index, shown in enumerate(check.entries("pictures", request.pictures, PICTURES_MAX)):
        field = f"pictures[{index}]"
        alt = check.text(f"{field}.alt", shown.alt, longest=ALT_MAX)
        digest = _digest(shown.picture_id)
        if digest is None:
            check.fail(f"{field}.picture_id", "must be the id of a picture: 64 hexadecimal digits")
        elif digest in found:
            check.fail(f"{field}.picture_id", "is there twice")
        else:
            found[digest] = alt
    return list(found.items())


def _digest(picture_id: str) -> bytes | None:
    """Return the digest that the id of a picture is; None if it is none."""
    try:
        digest = bytes.fromhex(picture_id)
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_BYTES and digest.hex() == picture_id else None
