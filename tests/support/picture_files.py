"""Files of pictures, and files that are none, made for the test that uses them."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

RED, BLUE = (200, 30, 40), (20, 60, 210)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def halves(width: int = 64, height: int = 32, mode: str = "RGB") -> Image.Image:
    """Return a picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image.quantize(8) if mode == "P" else image.convert(mode)


def png(width: int, height: int, *, bits: int, colour: int, row: bytes, rows: int | None = None) -> bytes:
    """Return a PNG file (ISO 15948) whose header states these sides, with `rows` equal rows."""
    packer = zlib.compressobj(9)
    count = height if rows is None else rows
    packed = b"".join(packer.compress((b"\0" + row) * min(1_000, count - at)) for at in range(0, count, 1_000)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, body) for name, body in chunks)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_place(image: Image.Image, orientation: int = 1) -> bytes:
    """Return a JPEG file with a position, a camera, a comment and an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "CAMERA OF A PERSON"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    return encoded(image, "JPEG", quality=95, exif=exif, comment=b"COMMENT OF A PERSON")


def with_thumbnail(image: Image.Image) -> bytes:
    """Return a JPEG file that holds another whole JPEG file, as cameras write it, in a segment before its pixels."""
    whole, small = encoded(image, "JPEG", quality=95), encoded(Image.new("RGB", (8, 8)), "JPEG")
    return whole[:2] + b"\xff\xe7" + struct.pack(">H", 2 + len(small)) + small + whole[2:]


def cmyk_profile(lab: tuple[float, float, float]) -> bytes:
    """Return an ICC profile (ICC.1:2001-04) by which each CMYK colour without black ink is this one of CIE L*a*b*."""
    lightness, a, b = lab
    colour = bytes((round(lightness * 2.55), round(a + 128), round(b + 128)))
    black = bytes((0, 128, 128))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    table += bytes(range(256)) * 4 + (colour + black) * 8 + bytes(range(256)) * 3
    text = b"text" + bytes(4) + b"of a test\0"
    described = b"desc" + bytes(4) + struct.pack(">I", 2) + b"t\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"desc": described, b"cprt": text, b"wtpt": white, b"A2B0": table}
    body, index, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        index += name + struct.pack(">II", at + len(body), len(content))
        body += padded
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return head + struct.pack(">I", len(tags)) + index + body


HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + b"\0" * 200
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><html><body><script>alert(1)</script></body></html>"
MOVIE = struct.pack(">I", 24) + b"ftypmp42" + bytes(4) + b"mp42isom" + struct.pack(">I", 2_008) + b"mdat" + b"\xff\xda\x12\x34" * 500
"""A file in ISO 14496-14's format, such as telephones write after a photograph."""
