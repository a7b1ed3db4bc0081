"""Uploading a picture: create an upload, send the file, wait for its verification, show it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from google.api.httpbody_pb2 import HttpBody

from mercato.cli.failures import DONE, REFUSED, tell_json
from mercato.cli.output import Output
from mercato.cli.requests import text
from mercato.cli.streams import tell
from mercato.v1 import media_pb2

FILE_MAX_BYTES = 20 * 1024**2
PIECE_BYTES = 512 * 1024
PAUSE_S = 0.2
PRODUCT = ("id", "name", "update_time")
UPLOAD = ("id", "state", "picture.id", "refusal_reason")
SETTLED = {media_pb2.PICTURE_UPLOAD_STATE_READY, media_pb2.PICTURE_UPLOAD_STATE_REFUSED}
WAIT_S = 120.0
"""Most seconds that a command waits for the verification."""


def upload(shop: Any, file: Path, product: str | None, alt: str, *, as_json: bool) -> int:
    """Upload a picture; returns the exit code."""
    alt, product = text(alt, "--alt"), product and text(product, "--product")
    content = _content(file)
    begun = shop.media.create_picture_upload(content_length=len(content))
    shop.media.upload_picture_content(_pieces(begun.id, content))
    settled = _settled(shop, begun.id)
    if settled.state != media_pb2.PICTURE_UPLOAD_STATE_READY:
        told = settled.refusal_message or f"the upload {begun.id} is not verified yet"
        if as_json:
            tell_json(9, told, reason=settled.refusal_reason)
        else:
            tell(f"mercato: {told}")
        return REFUSED
    if product is None:
        Output(UPLOAD, as_json=as_json).one(settled)
        return DONE
    before = shop.catalog.get_product(product_id=product)
    shown = [media_pb2.SetProductPicturesRequest.Shown(picture_id=each.id, alt=each.alt) for each in before.pictures]
    last = media_pb2.SetProductPicturesRequest.Shown(picture_id=settled.picture.id, alt=alt)
    Output(PRODUCT, as_json=as_json).one(shop.media.set_product_pictures(product_id=product, pictures=[*shown, last], etag=before.etag))
    return DONE


def _content(file: Path) -> bytes:
    """Read a file, which may be a pipe or endless."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None
    if len(content) > FILE_MAX_BYTES:
        raise typer.BadParameter(f"{file} has more than {FILE_MAX_BYTES // 1024**2} MiB", param_hint="FILE")
    return content


def _pieces(upload_id: str, content: bytes) -> Iterator[media_pb2.UploadPictureContentRequest]:
    for start in range(0, len(content), PIECE_BYTES):
        body = HttpBody(content_type="application/octet-stream", data=content[start : start + PIECE_BYTES])
        yield media_pb2.UploadPictureContentRequest(upload_id=upload_id, content=body)


def _settled(shop: Any, upload_id: str) -> Any:
    """Wait until a worker has verified the file, and return the upload."""
    end = time.monotonic() + WAIT_S
    while (found := shop.media.get_picture_upload(upload_id=upload_id)).state not in SETTLED and time.monotonic() < end:
        time.sleep(PAUSE_S)
    return found
