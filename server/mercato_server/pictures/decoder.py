"""The process that decodes one uploaded file and writes its renditions: `decoder SOURCE DIRECTORY PARENT`.

A file from outside meets the decoders of five formats here and nowhere else. This process has bounds of memory and of time, the lowest
priority, and ends with the picture. It writes one JSON object to standard output: the sides of the renditions, or the reason of a refusal.
A crash, or the bound of processor time, also means that the file is not a usable picture. A failure to start, to read or to write is a
fault of the shop: the process then ends with an exit code and no object, or with `fault`.
"""

import ctypes
import io
import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mercato_server.domain.pictures import PIXELS_MAX, RENDITION_MAX_BYTES, SIDE_MAX, SIZES, Side, Unusable

if TYPE_CHECKING:
    from PIL import Image

MEMORY_BYTES = 1536 * 1024 * 1024
"""Address space: 50 megapixels of 4 bytes three times, and the libraries."""
CPU_S, CPU_GRACE_S = 20, 5
"""Processor time until SIGXCPU ends the process, and the time after it until SIGKILL, which others send too."""
OPEN_FILES = 64
FILE_BYTES = 4 * 1024 * 1024
NICE = 19
NAME = b"mercato-picture"
"""Name of the process in ps(1); at most 15 bytes."""
QUALITIES = (82, 70, 55, 40, 25, 10)
"""Qualities of WebP; the first one whose file is small enough is taken."""
SHRINK, SHRINKS = 0.7, 4
"""By how much, and how often, a rendition gets smaller that no quality makes small enough."""
ORIENTATION = 0x0112
"""The tag of EXIF."""
PROFILE_MAX_BYTES = 4 * 1024 * 1024
SNIFFED_BYTES = 1_445
"""Bytes by which browsers tell the type of a file (https://mimesniff.spec.whatwg.org/#reading-the-resource-header)."""
ZIP_TAIL_BYTES = 22 + 65_535
"""Where a ZIP file has its directory: at its end, before a comment."""
MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?php", b"%pdf-")
LONG_MARKUP = (b"<!doctype html", b"<script", b"<iframe", b"<svg xmlns")
"""Markup that is so long that compressed pixels do not contain it by chance."""
_ALONE = frozenset((0x01, *range(0xD0, 0xDA)))
"""Markers of JPEG without a segment."""
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 1, 15, 38


class UnusableError(Exception):
    """The file is no picture that the shop takes."""

    def __init__(self, why: Unusable, words: str) -> None:
        super().__init__(words)
        self.why = why


def main() -> None:
    """Decode a file within the bounds."""
    source, directory, parent = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    confine(parent)
    from PIL import Image, ImageCms  # noqa: F401 - a Pillow that cannot be loaded is a fault of the shop

    try:
        result = _result(source.read_bytes(), directory)
    except OSError as error:
        result = {"fault": str(error)}
    sys.stdout.write(json.dumps(result))


def _result(whole: bytes, directory: Path) -> dict[str, Any]:
    """Write the renditions of a file, and return their sides or the reason of a refusal; raises OSError if they cannot be written."""
    try:
        made = dict(renditions(whole))
    except UnusableError as error:
        return {"refused": error.why.value, "message": str(error)}
    except MemoryError:
        return {"refused": Unusable.COSTLY.value, "message": "its decoding needs too much memory"}
    except Exception as error:  # noqa: BLE001 - decoders raise what they like, and none of it is a fault of the shop
        words = "it ends too early" if "truncated" in str(error).lower() else "it cannot be decoded"
        why = Unusable.TRUNCATED if "truncated" in str(error).lower() else Unusable.BROKEN
        return {"refused": why.value, "message": words}
    for size, (_, written) in made.items():
        (directory / size).write_bytes(written)
    return {"sides": [list(side) for side, _ in made.values()]}


def confine(parent: int) -> None:
    """Bound this process, and let it end with the worker that started it, whose process id is `parent`."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if os.getppid() != parent:
        raise SystemExit("the worker ended before this process could be bound to it")
    libc.prctl(_PR_SET_NAME, NAME, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    os.nice(NICE)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + CPU_GRACE_S))
    for kind, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def renditions(whole: bytes) -> Iterator[tuple[str, tuple[Side, bytes]]]:
    """Yield the size, the sides and the content of each rendition of a file; raises UnusableError, or anything that Pillow raises."""
    large = _picture(whole, _type(whole))
    for size, longest in SIZES.items():
        yield size, _webp(_within(large, longest))


def _type(whole: bytes) -> str:
    """Return Pillow's name of the type that the content has; raises UnusableError for another one, and for files of two types."""
    start = whole[:SNIFFED_BYTES]
    kind = next((name for name, has in _TYPES.items() if has(start)), "")
    if not kind:
        _refuse_type(start)
    lowered = whole.lower()
    if any(each in lowered[:SNIFFED_BYTES] for each in MARKUP) or any(each in lowered for each in LONG_MARKUP) or _is_zip(whole):
        raise UnusableError(Unusable.POLYGLOT, f"it is a {kind} file and a document or a program at the same time")
    if kind == "JPEG" and not _is_whole_jpeg(whole):
        raise UnusableError(Unusable.TRUNCATED, "it ends too early")
    return kind


def _is_whole_jpeg(whole: bytes) -> bool:
    """Tell whether the first scan of a JPEG file, and so its picture, ends (ITU-T T.81, B.1.1); False if the file ends before a scan.

    Segments before it may hold a second picture, and so may the bytes after the end. Coded pixels do not contain the marker of the end.
    """
    at = 2
    while at + 4 <= len(whole):
        if whole[at] != 0xFF:
            return True  # the decoder tells what is wrong
        marker, length = whole[at + 1], int.from_bytes(whole[at + 2 : at + 4], "big")
        if marker == 0xDA:
            return whole.find(b"\xff\xd9", at + 2 + length) >= 0
        if marker == 0xFF:
            at += 1  # a fill byte
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + length
    return False


def _brands(start: bytes) -> frozenset[bytes]:
    """Return the brands of an ISO base media file (ISO 14496-12): the major one and the compatible ones."""
    if start[4:8] != b"ftyp":
        return frozenset()
    length = min(int.from_bytes(start[:4], "big"), len(start))
    return frozenset((start[8:12], *(start[at : at + 4] for at in range(16, length - 3, 4))))


_TYPES: Mapping[str, Callable[[bytes], bool]] = {
    "JPEG": lambda start: start.startswith(b"\xff\xd8\xff"),
    "PNG": lambda start: start.startswith(b"\x89PNG\r\n\x1a\n"),
    "GIF": lambda start: start.startswith((b"GIF87a", b"GIF89a")),
    "WEBP": lambda start: start[:4] == b"RIFF" and start[8:12] == b"WEBP",
    "AVIF": lambda start: bool(_brands(start) & {b"avif", b"avis"}),
}
"""The types that are taken, by their first bytes (https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern)."""


def _refuse_type(start: bytes) -> NoReturn:
    if _brands(start) & _HEIF:
        raise UnusableError(Unusable.HEIC, "it is a HEIC picture, which browsers do not show; export it as JPEG and upload that")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text:
        raise UnusableError(Unusable.TYPE, "SVG is not taken, because it can hold programs; upload a JPEG, PNG, WebP, AVIF or GIF file")
    raise UnusableError(Unusable.TYPE, "it is no JPEG, PNG, WebP, AVIF or GIF file")


def _is_zip(whole: bytes) -> bool:
    """Tell whether a file ends as a ZIP file does: with a directory whose comment is the rest."""
    tail = whole[-ZIP_TAIL_BYTES:]
    at = tail.rfind(b"PK\x05\x06")
    return at >= 0 and len(tail) - at >= 22 and int.from_bytes(tail[at + 20 : at + 22], "little") <= len(tail) - at - 22


def _picture(whole: bytes, kind: str) -> "Image.Image":
    """Return the picture as browsers show it, no larger than the largest rendition, without anything but its pixels."""
    from PIL import Image

    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    if kind == "WEBP":
        _bounded(*_webp_sides(whole))  # Pillow makes room for the pixels of a WebP file when it opens it
    try:
        image: Image.Image = Image.open(io.BytesIO(whole), formats=(kind,))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _too_large() from None
    _bounded(*image.size)
    orientation = _orientation(image)
    profile = image.info.get("icc_profile")
    longest = max(SIZES.values())
    image.draft("RGB", (2 * longest, 2 * longest))  # JPEG only: decodes at a half, a quarter or an eighth of its size
    image.load()
    image = _within(_plain(image), longest)
    image = _srgb(image, profile)
    image = _turned(image, orientation)
    image.info = {}
    return image


def _bounded(width: int, height: int) -> None:
    if width * height > PIXELS_MAX or max(width, height) > SIDE_MAX:
        raise _too_large()


def _too_large() -> UnusableError:
    return UnusableError(Unusable.PIXELS, f"it has more than {PIXELS_MAX} pixels, or more than {SIDE_MAX} on one side")


def _webp_sides(whole: bytes) -> Side:
    """Return the sides that the header of a WebP file states (RFC 9649)."""
    kind, body = whole[12:16], whole[20:30]
    if kind == b"VP8X":
        return Side(1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return Side(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    return Side(int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF)


def _orientation(image: "Image.Image") -> int:
    """Return EXIF's orientation, 1 if the file has none or if its EXIF cannot be read."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - broken metadata do not spoil the pixels, and they are dropped
        return 1


def _plain(image: "Image.Image") -> "Image.Image":
    """Return a picture in a mode that can be made smaller: L, RGB, RGBA or CMYK, 8 bits a channel."""
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow would cut them off at 255
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"RGB", "L", "CMYK"} and "transparency" not in image.info:
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in {"P", "PA", "LA", "La", "RGBa", "RGBA", "L", "RGB"}:
        is_opaque = image.mode == "P" and "transparency" not in image.info and getattr(image.palette, "mode", "RGB") == "RGB"
        return image.convert("RGB" if is_opaque else "RGBA")
    return image.convert("RGB")


def _within(image: "Image.Image", longest: int) -> "Image.Image":
    """Return a picture whose sides are at most `longest`, which keeps its shape and is never larger than it was."""
    from PIL import Image

    scale = longest / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _srgb(image: "Image.Image", profile: bytes | None) -> "Image.Image":
    """Return a picture in sRGB, RGB or RGBA; one without a profile that fits is taken for sRGB, as browsers do."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    converted = _converted(colours, profile) if profile and len(profile) <= PROFILE_MAX_BYTES else None
    result = converted or colours.convert("RGB")
    if alpha:
        result.putalpha(alpha)
    return result


def _converted(image: "Image.Image", profile: bytes) -> "Image.Image | None":
    """Return a picture, converted from its colour profile; None if the profile is broken or of another kind of colours."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        kind = source.profile.xcolor_space.strip()
        if kind == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(kind) != image.mode:
            return None
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _turned(image: "Image.Image", orientation: int) -> "Image.Image":
    """Return a picture turned and mirrored as EXIF's orientation says."""
    from PIL import Image

    turn = Image.Transpose
    turns = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _webp(image: "Image.Image") -> tuple[Side, bytes]:
    """Return the sides and the file of a rendition, at the best quality that is small enough; noise also loses pixels."""
    for _ in range(SHRINKS):
        for quality in QUALITIES:
            written = io.BytesIO()
            image.save(written, "WEBP", quality=quality, method=4)
            if written.tell() <= RENDITION_MAX_BYTES:
                return Side(*image.size), written.getvalue()
        image = _within(image, round(max(image.size) * SHRINK))
    raise UnusableError(Unusable.COSTLY, "it cannot be made small enough")


if __name__ == "__main__":
    main()
