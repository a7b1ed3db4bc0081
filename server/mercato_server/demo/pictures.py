"""The pictures of the demo shop, which ship with the package as files of their renditions. tools/demo_pictures.py draws them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from mercato_server.demo import read
from mercato_server.domain.pictures import SIZES, Renditions, Side, content_digest

SIDE = 512
"""Pixels of each side of the largest rendition."""
DIRECTORY = "renditions"
"""The directory of the files in this package."""
_SIDES = tuple(Side(side, side) for side in (min(longest, SIDE) for longest in SIZES.values()))
_FILES = {size: "large" if longest >= SIDE else size for size, longest in SIZES.items()}
"""By size, the file that has its rendition. Sizes that are not smaller than the picture have one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPicture:
    """A picture as it is drawn: its motif, its colour as `#rrggbb`, and its text."""

    name: str
    motif: str
    colour: str
    alt: str


def pictures() -> Mapping[str, DemoPicture]:
    """Return the pictures by name, in the file's order."""
    entries: Mapping[str, Mapping[str, str]] = read("goods.toml")["pictures"]
    return {name: DemoPicture(name=name, **{"motif": name, **entry}) for name, entry in entries.items()}


def files(name: str) -> Iterator[tuple[str, str]]:
    """Yield the name of the file of each size of a picture; several sizes may have one."""
    return ((size, f"{name}-{file}.webp") for size, file in _FILES.items())


def contents(name: str) -> dict[str, bytes]:
    """Return the renditions of a picture by size."""
    directory = resources.files(__package__).joinpath(DIRECTORY)
    return {size: directory.joinpath(file).read_bytes() for size, file in files(name)}


def renditions(name: str) -> Renditions:
    """Return the digest and the sides of a picture, as the shop keeps them."""
    return Renditions(content_digest(contents(name).values()), _SIDES)
