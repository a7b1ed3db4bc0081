"""Conversion of uploads of pictures to messages."""

from mercato.v1 import media_pb2
from mercato_server.domain.pictures import Upload, UploadState
from mercato_server.handlers.convert import set_time
from mercato_server.handlers.picture_messages import fill_picture

STATES = {
    UploadState.WAITING: media_pb2.PICTURE_UPLOAD_STATE_WAITING,
    UploadState.PENDING: media_pb2.PICTURE_UPLOAD_STATE_PENDING,
    UploadState.READY: media_pb2.PICTURE_UPLOAD_STATE_READY,
    UploadState.REFUSED: media_pb2.PICTURE_UPLOAD_STATE_REFUSED,
}
"""A state that is absent here was added by a later release."""


def upload(found: Upload, base: str, *, to_shop: bool) -> media_pb2.PictureUpload:
    """Return an upload; its URL is that of the shop, or absent."""
    message = media_pb2.PictureUpload(
        id=str(found.id),
        state=STATES.get(found.state, media_pb2.PICTURE_UPLOAD_STATE_UNSPECIFIED),  # type: ignore[call-overload] # any text may be stored
        upload_url=f"/v1/pictureUploads/{found.id}/content" if to_shop else "",
        refusal_reason=found.refusal,
        refusal_message=found.message,
        content_length=found.content_length or 0,
    )
    set_time(message.create_time, found.created_at)
    set_time(message.expire_time, found.expires_at)
    if found.picture:
        fill_picture(message.picture, found.picture, "", base)
    return message
