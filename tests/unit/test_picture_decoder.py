"""The process that decodes pictures: which files it takes, how they look afterwards, and how it is bounded."""

import asyncio
import io
import signal
import struct
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from mercato_server.config.inheritance import python_environ
from mercato_server.domain.pictures import RENDITION_MAX_BYTES, SIZES, Side, Unusable
from mercato_server.pictures import decoder, decoding
from mercato_server.pictures.decoding import FaultError, Refused, StoppedError, decode
from support.patience import allowed
from support.picture_files import (
    BLUE,
    HEIC,
    HTML,
    MOVIE,
    RED,
    SVG,
    chunk,
    cmyk_profile,
    encoded,
    halves,
    png,
    with_place,
    with_thumbnail,
)
from support.pictures import ended_by

NEAR = 12
"""By how much a value of a colour may differ after two lossy encodings."""


@pytest.fixture(autouse=True)
def time_of_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process, which has the lowest priority, more time: where Linux has no autogroups, the suite starves it."""
    monkeypatch.setattr(decoding, "TIME_S", allowed(decoding.TIME_S))


async def decoded(content: bytes, directory: Path) -> tuple[tuple[Side, ...], Image.Image]:
    """Return the sides, and the large rendition, which must be a WebP file."""
    source = directory / "upload"
    source.write_bytes(content)
    sides = await decode(source, directory)
    assert not isinstance(sides, Refused), sides
    for size, side in zip(SIZES, sides, strict=True):
        written = (directory / size).read_bytes()
        assert len(written) <= RENDITION_MAX_BYTES
        image = Image.open(io.BytesIO(written))
        assert (image.format, image.size) == ("WEBP", side)
    return sides, Image.open(io.BytesIO((directory / "large").read_bytes()))


async def refused(content: bytes, directory: Path) -> Unusable:
    source = directory / "upload"
    source.write_bytes(content)
    answer = await decode(source, directory)
    assert isinstance(answer, Refused), answer
    assert not any((directory / size).exists() for size in SIZES)
    return answer.why


def near(found: object, wanted: tuple[int, ...]) -> bool:
    assert isinstance(found, tuple)
    return len(found) == len(wanted) and all(abs(one - other) <= NEAR for one, other in zip(found, wanted, strict=True))


def is_red_and_blue(image: Image.Image) -> bool:
    width, height = image.size
    return near(image.convert("RGB").getpixel((width // 4, height // 2)), RED) and near(
        image.convert("RGB").getpixel((3 * width // 4, height // 2)), BLUE
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
async def test_the_content_decides_the_type(kind: str, tmp_path: Path) -> None:
    _, image = await decoded(encoded(halves(), kind), tmp_path)
    assert is_red_and_blue(image)


async def test_a_picture_has_three_sizes_and_keeps_its_shape(tmp_path: Path) -> None:
    sides, _ = await decoded(encoded(halves(4_000, 1_000), "JPEG"), tmp_path)
    assert sides == ((320, 80), (800, 200), (1_600, 400))


async def test_a_small_picture_is_not_enlarged(tmp_path: Path) -> None:
    sides, _ = await decoded(encoded(halves(400, 10), "PNG"), tmp_path)
    assert sides == ((320, 8), (400, 10), (400, 10))


async def test_a_line_of_pixels_keeps_one_pixel_of_height(tmp_path: Path) -> None:
    sides, _ = await decoded(encoded(halves(9_000, 1), "PNG"), tmp_path)
    assert sides == ((320, 1), (800, 1), (1_600, 1))


async def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    rest = [Image.new("RGB", (64, 32), (0, 255, 0)) for _ in range(3)]
    for kind in ("GIF", "WEBP", "PNG"):
        _, image = await decoded(encoded(halves(), kind, save_all=True, append_images=rest), tmp_path)
        assert is_red_and_blue(image)
        assert not getattr(image, "is_animated", False)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_stands_as_its_orientation_says(orientation: int, tmp_path: Path) -> None:
    """Red is to be left and blue right; the pixels are stored as a camera held in another way has them (EXIF 2.32, 4.6.4)."""
    turn = Image.Transpose
    stored = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    image = halves()
    content = with_place(image.transpose(stored[orientation]) if orientation in stored else image, orientation)
    sides, shown = await decoded(content, tmp_path)
    assert sides[-1] == (64, 32)
    assert is_red_and_blue(shown)


async def test_nothing_but_pixels_is_kept(tmp_path: Path) -> None:
    content = with_place(halves())
    assert b"CAMERA OF A PERSON" in content
    _, image = await decoded(content, tmp_path)
    assert not image.getexif()
    assert not {"exif", "xmp", "icc_profile", "comment"} & set(image.info)
    for size in SIZES:
        assert b"A PERSON" not in (tmp_path / size).read_bytes()


async def test_sixteen_bits_of_grey_keep_their_brightness(tmp_path: Path) -> None:
    row = b"".join(struct.pack(">H", value) for value in [0x4000] * 32 + [0xC000] * 32)
    _, image = await decoded(png(64, 32, bits=16, colour=0, row=row), tmp_path)
    assert near(image.convert("RGB").getpixel((8, 16)), (64, 64, 64))
    assert near(image.convert("RGB").getpixel((56, 16)), (192, 192, 192))


async def test_sixteen_bits_of_colour_keep_their_colour(tmp_path: Path) -> None:
    row = b"".join(struct.pack(">3H", *(value * 257 for value in colour)) for colour in [RED] * 32 + [BLUE] * 32)
    _, image = await decoded(png(64, 32, bits=16, colour=2, row=row), tmp_path)
    assert is_red_and_blue(image)


@pytest.mark.parametrize("mode", ["P", "L", "1", "RGBA", "LA", "CMYK"])
async def test_every_mode_looks_right(mode: str, tmp_path: Path) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    original = halves(mode=mode) if mode != "1" else Image.new("1", (64, 32), 1)
    _, image = await decoded(encoded(original, kind, **({"quality": 95} if kind == "JPEG" else {})), tmp_path)
    wanted = original.convert("RGB")
    for at in ((8, 16), (56, 16)):
        expected = wanted.getpixel(at)
        assert isinstance(expected, tuple)
        assert near(image.convert("RGB").getpixel(at), expected)


async def test_a_palette_keeps_what_is_transparent(tmp_path: Path) -> None:
    original = halves(mode="P")
    _, image = await decoded(encoded(original, "PNG", transparency=original.getpixel((8, 16))), tmp_path)
    assert (image.convert("RGBA").getpixel((8, 16)) or (0,))[-1] == 0  # type: ignore[index] # a tuple for RGBA
    assert near(image.convert("RGB").getpixel((56, 16)), BLUE)


async def test_cmyk_is_converted_by_its_profile(tmp_path: Path) -> None:
    """Middle grey, L* = 53.585, is 128 in sRGB (IEC 61966-2-1); without the profile the ink below would be cyan."""
    image = Image.new("CMYK", (64, 32), (255, 0, 0, 0))
    _, shown = await decoded(encoded(image, "JPEG", quality=95, icc_profile=cmyk_profile((53.585, 0, 0))), tmp_path)
    assert near(shown.convert("RGB").getpixel((8, 16)), (128, 128, 128))
    _, plain = await decoded(encoded(image, "JPEG", quality=95), tmp_path)
    assert near(plain.convert("RGB").getpixel((8, 16)), (0, 255, 255))


async def test_a_broken_profile_does_not_spoil_a_picture(tmp_path: Path) -> None:
    _, image = await decoded(encoded(halves(), "JPEG", quality=95, icc_profile=b"no profile" * 100), tmp_path)
    assert is_red_and_blue(image)


@pytest.mark.parametrize(
    ("why", "content"),
    [
        (Unusable.HEIC, HEIC),
        (Unusable.TYPE, SVG),
        (Unusable.TYPE, b"\xef\xbb\xbf  " + SVG),
        (Unusable.TYPE, HTML),
        (Unusable.TYPE, b""),
        (Unusable.TYPE, b"BM" + bytes(100)),
        (Unusable.TYPE, b"%PDF-1.7\n"),
        (Unusable.POLYGLOT, encoded(halves(), "GIF") + HTML),
        (Unusable.POLYGLOT, encoded(halves(), "GIF", comment=b"<script>alert(1)</script>")),
        (Unusable.POLYGLOT, encoded(halves(), "PNG") + b"PK\x05\x06" + bytes(18)),
        (Unusable.TRUNCATED, encoded(halves(640, 480), "JPEG")[:-200]),
        (Unusable.TRUNCATED, encoded(halves(640, 480), "JPEG")[:-2]),
        (Unusable.TRUNCATED, encoded(halves(640, 480), "PNG")[:-60]),
        (Unusable.TRUNCATED, with_thumbnail(halves(640, 480))[:-2]),
        (Unusable.TRUNCATED, with_thumbnail(halves(640, 480))[:40]),
        (Unusable.PIXELS, png(10_000, 10_000, bits=8, colour=0, row=bytes(10_000), rows=10)),
        (Unusable.PIXELS, png(60_000, 60_000, bits=1, colour=0, row=bytes(7_500))),
        (Unusable.PIXELS, png(40_000, 1, bits=8, colour=0, row=bytes(40_000))),
        (Unusable.PIXELS, b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\x3f\0" * 2),
        (Unusable.BROKEN, b"\x89PNG\r\n\x1a\n" + bytes(100)),
        (Unusable.BROKEN, b"\xff\xd8\xff" + bytes(100) + b"\xff\xd9"),
    ],
    ids=range(21),
)
async def test_another_file_is_refused_with_its_reason(why: Unusable, content: bytes, tmp_path: Path) -> None:
    assert await refused(content, tmp_path) is why


async def test_a_text_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    whole = encoded(halves(), "PNG")
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100 * 1024 * 1024), 9))
    assert await refused(whole[:33] + bomb + whole[33:], tmp_path) in {Unusable.BROKEN, Unusable.COSTLY}


async def test_the_largest_picture_that_is_taken_fits_into_the_memory(tmp_path: Path) -> None:
    content = png(10_000, 5_000, bits=8, colour=6, row=bytes((*RED, 255)) * 5_000 + bytes((*BLUE, 255)) * 5_000)
    sides, image = await decoded(content, tmp_path)
    assert sides[-1] == (1_600, 800)
    assert is_red_and_blue(image)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE])
async def test_a_crash_is_a_refusal(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "COMMAND", ended_by(number))
    assert await refused(b"", tmp_path) is Unusable.BROKEN


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
async def test_a_signal_from_outside_is_no_refusal(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "COMMAND", ended_by(number))
    with pytest.raises(StoppedError, match=f"signal {number} ended the process"):
        await decode(tmp_path / "upload", tmp_path)


async def test_the_bound_of_time_shows_before_the_one_that_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import os, sys; from mercato_server.pictures import decoder; decoder.CPU_S = 1; decoder.confine(os.getppid())\nwhile True: pass"
    )
    monkeypatch.setattr(decoding, "COMMAND", (sys.executable, "-P", "-c", program))
    assert await refused(b"", tmp_path) is Unusable.COSTLY


@pytest.mark.parametrize("command", [(sys.executable, "-c", "raise SystemExit(3)"), (sys.executable, "-c", ""), ("/absent/python",)])
async def test_a_process_that_does_not_start_is_no_refusal(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "COMMAND", command)
    with pytest.raises(FaultError):
        await decode(tmp_path / "upload", tmp_path)


async def test_a_full_disk_and_a_file_that_cannot_be_read_are_no_refusal(tmp_path: Path) -> None:
    source = tmp_path / "upload"
    with pytest.raises(FaultError, match="No such file"):
        await decode(source, tmp_path)
    source.write_bytes(encoded(halves(), "PNG"))
    (tmp_path / "medium").symlink_to("/dev/full")
    with pytest.raises(FaultError, match="No space left"):
        await decode(source, tmp_path)


async def test_a_process_whose_worker_has_ended_does_nothing(tmp_path: Path) -> None:
    source = tmp_path / "upload"
    source.write_bytes(encoded(halves(), "PNG"))
    process = await asyncio.create_subprocess_exec(
        *decoding.COMMAND, str(source), str(tmp_path), "1", env=python_environ(), stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 1
    assert not any((tmp_path / size).exists() for size in SIZES)


async def test_the_process_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import json, os, resource
from mercato_server.pictures import decoder
decoder.confine(os.getppid())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({"fault": f'{status["NoNewPrivs"].strip()} {resource.getrlimit(resource.RLIMIT_NOFILE)}'}))
"""
    monkeypatch.setattr(decoding, "COMMAND", (sys.executable, "-P", "-c", program))
    with pytest.raises(FaultError, match=r"1 \(64, 64\)"):
        await decode(tmp_path / "upload", tmp_path)


@pytest.mark.parametrize("trailer", [MOVIE, b"\xff\xda\0\x03\0" + bytes(100), bytes(1_000)], ids=["movie", "scan", "zeros"])
async def test_a_photograph_with_other_content_after_its_end_is_taken(trailer: bytes, tmp_path: Path) -> None:
    _, image = await decoded(with_thumbnail(halves()) + trailer, tmp_path)
    assert is_red_and_blue(image)


def test_noise_is_made_small_enough() -> None:
    noise = Image.effect_noise((1_600, 1_600), 120).convert("RGB")
    side, written = decoder._webp(noise)
    assert len(written) <= RENDITION_MAX_BYTES
    assert Image.open(io.BytesIO(written)).size == side
    assert side.width == side.height >= 800
