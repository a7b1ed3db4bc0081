"""Pictures in messages, and the URLs of pictures in requests."""

from collections.abc import Sequence

from mercato.v1 import catalog_pb2, picture_pb2
from mercato_server.domain.pictures import PATH, SIZES, Renditions, Shown, digest_of, name

LARGE = "large"


def url(base: str, digest: bytes, size: str) -> str:
    """Return the URL of a rendition; without a base it is a path of the shop."""
    return f"{base}{PATH}{name(digest, size)}"


def fill_picture(message: picture_pb2.Picture, picture: Renditions, alt: str, base: str) -> None:
    """Write a picture into an empty message."""
    message.id = picture.digest.hex()
    message.alt = alt
    for size, side in zip(SIZES, picture.sides, strict=True):
        rendition: picture_pb2.PictureSize = getattr(message, size)
        rendition.url, rendition.width, rendition.height = url(base, picture.digest, size), side.width, side.height


def fill_pictures(message: catalog_pb2.Product, pictures: Sequence[Shown], base: str) -> None:
    """Write the pictures of a product into its message; its external URLs follow those of its pictures."""
    for each in pictures:
        fill_picture(message.pictures.add(), each.picture, each.alt, base)
        message.image_urls.append(url(base, each.picture.digest, LARGE))


def split(urls: Sequence[str], base: str) -> tuple[list[bytes], list[str]]:
    """Return the digests of the pictures that URLs name, each once, and the URLs that are external."""
    digests: dict[bytes, None] = {}
    external = []
    for each in urls:
        digest = digest_of(each, base)
        if digest is None:
            external.append(each)
        else:
            digests[digest] = None
    return list(digests), external
