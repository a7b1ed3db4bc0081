"""Pictures of products: what is taken, which sizes are made of it, and why a file is refused."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

UPLOAD_MAX_BYTES = 20 * 1024 * 1024
PIXELS_MAX = 50_000_000
"""Most pixels of an uploaded picture. It is decoded only if its header states no more."""
SIDE_MAX = 30_000
"""Most pixels of one side."""
RENDITION_MAX_BYTES = 512 * 1024
SIZES = {"small": 320, "medium": 800, "large": 1_600}
"""The renditions, and the longest side of each in pixels. A smaller picture is not enlarged."""
PICTURES_MAX = 20
"""Pictures of a product."""
ALT_MAX = 500
DIGEST_BYTES = 32
NAME = re.compile(rf"(?P<digest>[0-9a-f]{{{2 * DIGEST_BYTES}}})-(?P<size>{'|'.join(SIZES)})\.webp")
"""The name of a rendition's file, which is the last part of its URL."""
PATH = "/pictures/"
"""The path of the URLs of renditions."""


class Unusable(StrEnum):
    """Why a file is refused; public names."""

    TYPE = "PICTURE_TYPE"
    HEIC = "PICTURE_HEIC"
    POLYGLOT = "PICTURE_POLYGLOT"
    PIXELS = "PICTURE_PIXELS"
    TRUNCATED = "PICTURE_TRUNCATED"
    COSTLY = "PICTURE_COSTLY"
    BROKEN = "PICTURE_BROKEN"
    SIZE = "PICTURE_SIZE"


class UploadState(StrEnum):
    """The states of an upload. Those of the database; another release may have more."""

    WAITING = "waiting"
    """Its content has not come."""
    PENDING = "pending"
    """Its content waits for a worker that verifies it."""
    READY = "ready"
    REFUSED = "refused"


class Side(NamedTuple):
    """Width and height of a rendition, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Renditions:
    """A picture as it is served: its digest, and its sizes in the order of SIZES."""

    digest: bytes
    sides: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of a product."""

    picture: Renditions
    alt: str


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as stored."""

    id: UUID
    state: str
    picture: Renditions | None
    """Of a ready one, unless it was swept since."""
    refusal: str
    """An `Unusable`, or empty."""
    message: str
    created_at: datetime
    expires_at: datetime
    content_length: int | None
    """Bytes of its file, as announced; None if they were not."""


def content_digest(contents: Iterable[bytes]) -> bytes:
    """Return the digest of a picture, of its renditions in the order of SIZES: the SHA-256 of their SHA-256 digests."""
    whole = hashlib.sha256()
    for content in contents:
        whole.update(hashlib.sha256(content).digest())
    return whole.digest()


def name(digest: bytes, size: str) -> str:
    """Return the name of a rendition's file."""
    return f"{digest.hex()}-{size}.webp"


def digest_of(url: str, base: str) -> bytes | None:
    """Return the digest of the picture of the shop that a URL names, below `base` or as a path; None for any other URL."""
    path = url.removeprefix(base) if base else url
    found = NAME.fullmatch(path.removeprefix(PATH)) if path.startswith(PATH) else None
    return bytes.fromhex(found["digest"]) if found else None


def shown(stored: str | None) -> "tuple[Shown, ...]":
    """Return the pictures of a product from the text of its column."""
    if not stored:
        return ()
    return tuple(
        Shown(Renditions(bytes.fromhex(each["picture"]), tuple(Side(*side) for side in each["sides"])), each["alt"])
        for each in json.loads(stored)
    )
