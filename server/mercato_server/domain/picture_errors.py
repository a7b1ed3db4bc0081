"""The refusals of calls about pictures."""

from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError, NotFound
from mercato_server.domain.pictures import PICTURES_MAX


class PictureUploadNotFound(NotFound):
    """No upload has this id; settled ones are kept for a week."""

    reason, resource_type, noun = "PICTURE_UPLOAD_NOT_FOUND", "mercato.v1.PictureUpload", "upload"


class PictureUploadState(MercatoError):
    """The upload takes no file: it has one, or has expired."""

    code, reason = Code.FAILED_PRECONDITION, "PICTURE_UPLOAD_STATE"

    def __init__(self, upload_id: UUID) -> None:
        super().__init__("the upload {upload_id} has its file, or has expired; create another", upload_id=str(upload_id))


class PictureUploadAbsent(MercatoError):
    """The file of the upload has not come."""

    code, reason = Code.FAILED_PRECONDITION, "PICTURE_UPLOAD_ABSENT"

    def __init__(self, upload_id: UUID) -> None:
        super().__init__("the file of the upload {upload_id} has not come; send it to its upload_url", upload_id=str(upload_id))


class PictureUploadElsewhere(MercatoError):
    """The shop keeps pictures in a bucket, which takes the file itself."""

    code, reason = Code.FAILED_PRECONDITION, "PICTURE_UPLOAD_ELSEWHERE"

    def __init__(self) -> None:
        super().__init__("this shop takes pictures in a bucket; send the file to the upload_url of its upload")


class PicturesUnavailable(MercatoError):
    """The bucket with the pictures cannot be used; an operator has to correct that, or it passes."""

    code, reason, retry_after_s = Code.UNAVAILABLE, "PICTURES_UNAVAILABLE", 5.0

    def __init__(self, cause: str) -> None:
        super().__init__("the storage of pictures cannot be used at the moment: {cause}", cause=cause)


class PictureNotFound(MercatoError):
    """No picture has this id or name; one that no product shows is deleted after a day."""

    code, reason, resource_type = Code.NOT_FOUND, "PICTURE_NOT_FOUND", "mercato.v1.Picture"

    def __init__(self, picture: str) -> None:
        super().__init__("there is no picture {picture}", resource=picture, picture=picture)


class PicturesLimit(MercatoError):
    """The product has external pictures, and would have too many with these."""

    code, reason = Code.FAILED_PRECONDITION, "PICTURES_LIMIT"

    def __init__(self, external: int) -> None:
        super().__init__("a product has {most} pictures at most, and {external} are external", most=PICTURES_MAX, external=external)


class PicturesOff(MercatoError):
    """The shop has no directory for pictures."""

    code, reason = Code.FAILED_PRECONDITION, "PICTURES_OFF"

    def __init__(self) -> None:
        super().__init__("this shop takes no pictures; its operator has to set MERCATO_PICTURES_DIR")


class TooManyUploads(MercatoError):
    """Too many uploads wait for their file or for a worker."""

    code, reason, retry_after_s = Code.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS", 60.0

    def __init__(self, most: int) -> None:
        super().__init__("{most} uploads are not yet settled; send their files, or let them expire", most=most)
