"""A board on which the pictures of the demo shop are drawn: a square of 100 units, finer than the picture that it becomes."""

from collections.abc import Sequence

from PIL import Image, ImageColor, ImageDraw

FINE = 4
"""Pixels that are drawn for each pixel of a picture's side."""
INK, WHITE, STEEL, SHADE = "#26323c", "#fbfaf6", "#8b98a3", "#5d6a75"
_STEPS = 12
"""Straight pieces between two points of a curve."""

Point = tuple[float, float]


class Board:
    """A square to draw on, of 100 units; the origin is at the upper left."""

    def __init__(self, colour: str, side: int) -> None:
        self._side, self._unit = side, side * FINE / 100
        self.colour = colour
        self.dark, self.light = _mixed(colour, INK, 0.35), _mixed(colour, WHITE, 0.45)
        self._image = _ground(colour, side * FINE)
        self._draw = ImageDraw.Draw(self._image)
        self.oval(50, 50, 41, 41, _mixed(colour, WHITE, 0.72))
        self.oval(50, 83, 30, 4, _mixed(colour, WHITE, 0.5))

    def shape(self, points: Sequence[Point] | str, fill: str) -> None:
        """Draw a polygon; its points may be a text such as `10,20 30,40 …`."""
        self._draw.polygon([(x * self._unit, y * self._unit) for x, y in _points(points)], fill)

    def blob(self, points: Sequence[Point] | str, fill: str) -> None:
        """Draw a closed curve through the points."""
        self.shape(_curve(_points(points)), fill)

    def oval(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Draw an ellipse around a point, by half of its axes."""
        self._draw.ellipse(self._box(x - width, y - height, x + width, y + height), fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: str) -> None:
        """Draw a circle's line."""
        self._draw.ellipse(self._box(x - radius, y - radius, x + radius, y + radius), outline=fill, width=round(width * self._unit))

    def box(self, left: float, top: float, right: float, bottom: float, fill: str, *, round_by: float = 0) -> None:
        """Draw a rectangle with round corners."""
        self._draw.rounded_rectangle(self._box(left, top, right, bottom), round_by * self._unit, fill)

    def line(self, points: Sequence[Point], width: float, fill: str) -> None:
        """Draw lines with round ends."""
        self._draw.line([(x * self._unit, y * self._unit) for x, y in points], fill, round(width * self._unit), joint="curve")
        for x, y in points:
            self.oval(x, y, width / 2, width / 2, fill)

    def arc(self, x: float, y: float, size: Point, degrees: tuple[float, float], width: float, fill: str) -> None:
        """Draw a part of an ellipse's line, clockwise from the right."""
        self._draw.arc(self._box(x - size[0], y - size[1], x + size[0], y + size[1]), *degrees, fill, round(width * self._unit))

    def picture(self) -> Image.Image:
        """Return the picture."""
        return self._image.resize((self._side, self._side), Image.Resampling.LANCZOS)

    def _box(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        return left * self._unit, top * self._unit, right * self._unit, bottom * self._unit


def _ground(colour: str, side: int) -> Image.Image:
    """Return a square that gets darker from its top."""
    top, bottom = (ImageColor.getrgb(_mixed(colour, WHITE, share)) for share in (0.92, 0.8))
    steps = [tuple(round(a + (b - a) * row / (side - 1)) for a, b in zip(top, bottom, strict=True)) for row in range(side)]
    column = Image.new("RGB", (1, side))
    for row, step in enumerate(steps):
        column.putpixel((0, row), step)
    return column.resize((side, side))


def _mixed(colour: str, other: str, share: float) -> str:
    """Return a colour with a share of another."""
    parts = zip(ImageColor.getrgb(colour), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def _points(given: Sequence[Point] | str) -> Sequence[Point]:
    if not isinstance(given, str):
        return given
    pairs = (pair.split(",") for pair in given.split())
    return [(float(x), float(y)) for x, y in pairs]


def _curve(points: Sequence[Point]) -> list[Point]:
    """Return a closed Catmull-Rom spline through the points as a polygon."""
    found = []
    for index in range(len(points)):
        before, start, end, after = (points[(index + shift) % len(points)] for shift in (-1, 0, 1, 2))
        found += [_between(before, start, end, after, step / _STEPS) for step in range(_STEPS)]
    return found


def _between(before: Point, start: Point, end: Point, after: Point, t: float) -> Point:
    x, y = (
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(before, start, end, after, strict=True)
    )
    return x, y
