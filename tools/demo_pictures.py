"""Draw the pictures of the demo shop, and write their renditions into the package: the same files each time.

A picture is a motif in a colour. The code that encodes uploads encodes it.
"""

import io
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from demo_board import INK, SHADE, STEEL, WHITE, Board, Point
from mercato_server import demo
from mercato_server.demo.pictures import DIRECTORY, SIDE, DemoPicture, files, pictures
from mercato_server.pictures.decoder import renditions


def shoe(on: Board) -> None:
    """Draw a running shoe."""
    body = "15,66 14,54 17,42 24,37 30,43 38,46 48,41 58,50 72,57 84,61 88,68 80,72 40,73"
    on.blob(body, on.colour)
    on.blob("64,56 74,58 84,61 88,68 78,71 70,68", on.light)
    on.blob("16,44 22,38 28,43 27,58 22,70 15,66", on.dark)
    on.box(13, 69, 90, 77, WHITE, round_by=4)
    on.box(13, 74, 90, 78, INK, round_by=2)
    for number in range(4):
        on.line([(42 + 5 * number, 47 + 2.6 * number), (47 + 5 * number, 42.5 + 3 * number)], 1.6, WHITE)
    on.line([(34, 68), (48, 56), (60, 66)], 2.4, WHITE)


def boot(on: Board) -> None:
    """Draw a hiking or ski boot."""
    on.blob("28,22 38,20 50,22 52,40 56,52 74,58 82,68 70,73 40,73 26,70 27,45", on.colour)
    on.blob("28,22 38,20 50,22 50,29 39,31 28,29", on.dark)
    on.blob("66,57 76,59 82,67 72,72 64,68", on.light)
    on.box(24, 69, 85, 76, INK, round_by=3)
    for number in range(6):
        on.box(26 + 10 * number, 74, 32 + 10 * number, 80, INK, round_by=1)
    for number in range(4):
        on.line([(44, 35 + 6 * number), (53, 34 + 6.4 * number)], 1.8, WHITE)


def sock(on: Board) -> None:
    """Draw a pair of socks."""
    for shift, colour, heel in ((12, on.dark, on.colour), (0, on.colour, on.dark)):
        leg = [(32, 22), (48, 22), (49, 50), (62, 58), (70, 66), (66, 76), (54, 77), (36, 68), (31, 56)]
        on.blob([(x + shift, y) for x, y in leg], colour)
        on.blob([(x + shift, y) for x, y in ((31, 56), (38, 54), (42, 64), (38, 69), (32, 63))], heel)
        on.box(30 + shift, 19, 50 + shift, 28, WHITE, round_by=2)
    on.line([(32, 34), (48, 34)], 2, WHITE)
    on.line([(32, 39), (48, 39)], 2, WHITE)


def shirt(on: Board) -> None:
    """Draw a shirt."""
    whole = "38,22 50,27 62,22 86,34 79,50 70,46 70,80 30,80 30,46 21,50 14,34"
    on.shape(whole, on.colour)
    on.shape("38,22 50,27 62,22 58,32 50,35 42,32", on.dark)
    on.shape("14,34 21,50 24,48.5 17,32.5", WHITE)
    on.shape("86,34 79,50 76,48.5 83,32.5", WHITE)
    on.shape("30,56 70,46 70,55 30,65", WHITE)
    on.box(30, 76, 70, 80, on.dark)


def shorts(on: Board) -> None:
    """Draw shorts."""
    on.shape("28,30 72,30 80,72 55,76 50,52 45,76 20,72", on.colour)
    on.shape("72,30 80,72 74,73 67,30", WHITE)
    on.shape("28,30 20,72 26,73 33,30", WHITE)
    on.box(27, 27, 73, 35, on.dark, round_by=2)
    on.line([(47, 35), (45, 45)], 1.4, WHITE)
    on.line([(53, 35), (55, 45)], 1.4, WHITE)


def jacket(on: Board) -> None:
    """Draw a jacket with a hood."""
    on.blob("36,28 40,15 50,12 60,15 64,28 50,34", on.dark)
    on.shape("36,24 50,30 64,24 82,36 88,72 77,74 72,52 72,80 28,80 28,52 23,74 12,72 18,36", on.colour)
    on.shape("28,44 72,44 72,52 28,52", on.light)
    on.line([(50, 30), (50, 80)], 1.6, INK)
    on.box(33, 60, 44, 62, on.dark)
    on.box(56, 60, 67, 62, on.dark)
    on.box(28, 77, 72, 81, on.dark)


def swimsuit(on: Board) -> None:
    """Draw a swimsuit."""
    on.shape("36,18 41,18 44,36 56,36 59,18 64,18 68,42 65,54 70,68 53,82 47,82 30,68 35,54 32,42", on.colour)
    on.shape("35,54 65,54 67,61 33,61", WHITE)
    on.shape("44,36 56,36 53,43 47,43", on.dark)


def football(on: Board) -> None:
    """Draw a football."""
    on.oval(50, 49, 32, 32, INK)
    on.oval(50, 49, 30.5, 30.5, WHITE)
    middle = [(50 + 11 * math.sin(math.tau * side / 5), 49 - 11 * math.cos(math.tau * side / 5)) for side in range(5)]
    on.shape(middle, on.colour)
    for side, (x, y) in enumerate(middle):
        angle = math.tau * side / 5
        out = (50 + 22 * math.sin(angle), 49 - 22 * math.cos(angle))
        on.line([(x, y), out], 1.4, INK)
        edge = [(50 + 30 * math.sin(angle + turn), 49 - 30 * math.cos(angle + turn)) for turn in (-0.42, -0.2, 0, 0.2, 0.42)]
        near = [(50 + 21 * math.sin(angle + turn), 49 - 21 * math.cos(angle + turn)) for turn in (0.3, 0, -0.3)]
        on.shape([*edge, *near], on.colour if side % 2 else on.dark)
    on.arc(50, 49, (26, 26), (195, 255), 1.6, on.light)


def goal(on: Board) -> None:
    """Draw a goal with its net."""
    for x in range(22, 82, 6):
        on.line([(x, 32), (18 + (x - 22) * 1.12 + 2, 74)], 0.7, STEEL)
    for y in range(36, 76, 6):
        on.line([(20, y), (80, y)], 0.7, STEEL)
    on.line([(18, 78), (18, 30), (82, 30), (82, 78)], 4, INK)
    on.line([(18, 78), (18, 30), (82, 30), (82, 78)], 2.8, WHITE)
    on.oval(62, 72, 8, 8, INK)
    on.oval(62, 72, 7.2, 7.2, WHITE)
    on.oval(62, 72, 2.6, 2.6, on.colour)


def glove(on: Board) -> None:
    """Draw a glove."""
    for left, top in ((28, 30), (39, 21), (50, 20), (61, 27)):
        on.box(left, top, left + 10, 60, on.colour, round_by=5)
    on.box(28, 44, 71, 68, on.colour, round_by=8)
    on.line([(75, 60), (83, 46)], 10, on.colour)
    on.blob("66,48 78,54 72,66 62,68", on.colour)
    on.box(34, 46, 65, 60, on.light, round_by=5)
    on.box(30, 67, 69, 80, on.dark, round_by=3)
    on.box(30, 71, 69, 75, WHITE)


def bike(on: Board) -> None:
    """Draw a bicycle."""
    for x in (27, 73):
        spokes(on, (x, 64), 17, 8, 0.4)
        on.ring(x, 64, 18.5, 2.6, INK)
        on.oval(x, 64, 2.2, 2.2, SHADE)
    on.line([(27, 64), (41, 40), (66, 40), (48, 66), (27, 64)], 2.8, on.colour)
    on.line([(38, 35), (48, 66)], 2.8, on.colour)
    on.line([(73, 64), (65, 32)], 2.8, on.dark)
    on.line([(60, 29), (65, 32), (72, 30), (75, 35)], 2.4, INK)
    on.line([(32, 34), (44, 33)], 3.4, INK)
    on.oval(48, 66, 4.4, 4.4, INK)
    on.line([(48, 66), (52, 75)], 1.6, SHADE)
    on.line([(50, 75), (56, 75)], 2, INK)


def helmet(on: Board) -> None:
    """Draw a helmet."""
    on.blob("16,60 18,42 32,27 52,23 72,30 84,46 86,58 60,62 36,64", on.colour)
    for vent in ("34,36 44,31 46,50 32,52", "51,29 61,31 62,49 52,50", "68,35 75,42 76,50 68,49"):
        on.blob(vent, on.dark)
    on.blob("15,58 40,60 60,58 87,55 88,61 60,66 36,67 16,65", INK)
    on.line([(30, 66), (44, 82), (62, 65)], 1.8, SHADE)
    on.oval(44, 82, 2.4, 1.8, INK)


def wheel(on: Board) -> None:
    """Draw a wheel with its tyre."""
    on.ring(50, 49, 34, 6, INK)
    on.ring(50, 49, 28, 2.2, on.colour)
    spokes(on, (50, 49), 26, 12, 0.6)
    on.oval(50, 49, 5, 5, on.dark)
    on.oval(50, 49, 2, 2, WHITE)


def spokes(on: Board, centre: Point, length: float, pairs: int, width: float) -> None:
    """Draw the spokes of a wheel."""
    x, y = centre
    for pair in range(pairs):
        right, down = length * math.cos(math.pi * pair / pairs), length * math.sin(math.pi * pair / pairs)
        on.line([(x + right, y + down), (x - right, y - down)], width, STEEL)


def goggles(on: Board) -> None:
    """Draw goggles."""
    on.line([(10, 46), (22, 50)], 5, on.dark)
    on.line([(90, 46), (78, 50)], 5, on.dark)
    on.blob("18,42 34,36 48,42 52,42 66,36 82,42 83,56 68,66 55,60 50,56 45,60 32,66 17,56", INK)
    on.blob("22,44 34,40 46,46 44,56 32,61 21,54", on.colour)
    on.blob("78,44 66,40 54,46 56,56 68,61 79,54", on.colour)
    on.line([(26, 50), (33, 44)], 2, on.light)
    on.line([(60, 50), (67, 44)], 2, on.light)


def cap(on: Board) -> None:
    """Draw a cap."""
    on.blob("22,58 24,40 36,28 52,26 66,32 74,46 76,58 50,62", on.colour)
    on.blob("52,57 76,53 92,60 88,66 70,64 50,65 22,62 22,56", on.dark)
    on.line([(48, 27), (44, 42), (45, 58)], 1, on.light)
    on.oval(49, 26, 3, 1.8, on.dark)


def racket(on: Board) -> None:
    """Draw a racket with a ball."""
    for step in range(-3, 4):
        half = 21 * math.sqrt(1 - (step / 4.2) ** 2)
        on.line([(42 + step * 4.6, 38 - half), (42 + step * 4.6, 38 + half)], 0.6, STEEL)
        wide = 18 * math.sqrt(1 - (step / 4.2) ** 2)
        on.line([(42 - wide, 38 + step * 5.2), (42 + wide, 38 + step * 5.2)], 0.6, STEEL)
    on.arc(42, 38, (20, 24), (0, 360), 3.4, on.colour)
    on.line([(40, 61), (46, 72)], 2.6, on.dark)
    on.line([(50, 60), (46, 72)], 2.6, on.dark)
    on.line([(46, 70), (51, 86)], 4.6, INK)
    tennis_ball(on, 74, 66, 10)


def balls(on: Board) -> None:
    """Draw three balls."""
    tennis_ball(on, 36, 62, 17)
    tennis_ball(on, 66, 62, 17)
    tennis_ball(on, 51, 36, 17)


def tennis_ball(on: Board, x: float, y: float, radius: float) -> None:
    """Draw a ball with a seam."""
    on.oval(x, y, radius, radius, "#b9d23c")
    on.arc(x - radius, y, (radius * 0.9, radius * 0.9), (-48, 48), radius / 9, WHITE)
    on.arc(x + radius, y, (radius * 0.9, radius * 0.9), (132, 228), radius / 9, WHITE)


def mat(on: Board) -> None:
    """Draw a rolled mat."""
    on.shape("20,62 70,42 88,50 38,76", on.light)
    on.shape("20,52 66,28 80,46 34,72", on.colour)
    on.oval(28, 62, 13, 13, on.colour)
    on.oval(28, 62, 10.5, 10.5, on.dark)
    on.oval(28, 62, 8, 8, on.colour)
    on.oval(28, 62, 5.5, 5.5, on.dark)
    on.oval(28, 62, 3, 3, WHITE)
    on.line([(46, 39), (60, 58)], 2.4, INK)


def dumbbell(on: Board) -> None:
    """Draw a dumbbell."""
    on.box(24, 46, 76, 54, STEEL, round_by=2)
    for left, top, colour in ((22, 28, on.dark), (31, 34, on.colour), (68, 28, on.dark), (60, 34, on.colour)):
        on.box(left, top, left + 10, 100 - top, colour, round_by=3)
    for x in range(45, 57, 3):
        on.line([(x, 47), (x, 53)], 0.8, SHADE)
    on.box(17, 42, 22, 58, INK, round_by=2)
    on.box(78, 42, 83, 58, INK, round_by=2)


def backpack(on: Board) -> None:
    """Draw a backpack."""
    on.arc(50, 24, (9, 9), (180, 360), 3, INK)
    on.box(24, 46, 32, 74, on.dark, round_by=4)
    on.box(68, 46, 76, 74, on.dark, round_by=4)
    on.box(29, 22, 71, 81, on.colour, round_by=14)
    on.box(35, 50, 65, 76, on.dark, round_by=6)
    on.box(35, 50, 65, 58, on.light, round_by=4)
    on.box(29, 37, 71, 40, INK)
    on.box(46, 35, 54, 44, WHITE, round_by=2)
    on.line([(44, 63), (56, 63)], 1.4, WHITE)


def tent(on: Board) -> None:
    """Draw a tent."""
    on.shape("50,24 88,78 12,78", on.colour)
    on.shape("50,24 62,78 38,78", on.dark)
    on.shape("50,40 57,78 43,78", INK)
    on.shape("50,24 88,78 74,78", on.light)
    on.line([(50, 24), (50, 17)], 1.4, INK)
    on.shape("50,16 60,19 50,22", WHITE)
    on.line([(10, 79), (90, 79)], 1.6, INK)


def ski(on: Board) -> None:
    """Draw a pair of skis with their poles."""
    for x, colour in ((40, on.colour), (52, on.dark)):
        on.blob([(x, 20), (x + 4, 13), (x + 8, 20), (x + 7, 50), (x + 8, 84), (x, 84), (x + 1, 50)], colour)
        on.box(x + 1, 44, x + 7, 56, INK, round_by=1)
        on.line([(x + 4, 24), (x + 4, 38)], 1.2, WHITE)
    for x in (30, 70):
        on.line([(x, 24), (x, 82)], 1.5, SHADE)
        on.box(x - 2, 18, x + 2, 30, INK, round_by=2)
        on.ring(x, 77, 4, 1.2, INK)


def bottle(on: Board) -> None:
    """Draw a bottle."""
    on.box(42, 16, 58, 26, INK, round_by=3)
    on.box(44, 24, 56, 32, SHADE)
    on.box(35, 30, 65, 82, on.colour, round_by=9)
    on.box(35, 48, 65, 66, WHITE)
    on.shape("50,51 56,60 44,60", on.dark)
    on.oval(50, 60, 6, 3.6, on.dark)
    on.line([(40, 37), (40, 44)], 2, on.light)


def watch(on: Board) -> None:
    """Draw a watch."""
    on.box(40, 12, 60, 88, on.dark, round_by=5)
    on.box(30, 32, 70, 70, INK, round_by=11)
    on.box(34, 36, 66, 66, on.light, round_by=8)
    on.line([(50, 51), (50, 41)], 2, INK)
    on.line([(50, 51), (58, 55)], 2, INK)
    on.box(70, 46, 74, 55, SHADE, round_by=1)
    on.oval(50, 51, 1.8, 1.8, on.dark)


def snowboard(on: Board) -> None:
    """Draw a snowboard with its bindings."""
    on.box(38, 12, 62, 86, on.colour, round_by=12)
    on.box(38, 40, 62, 58, on.light)
    for top in (28, 60):
        on.box(34, top, 66, top + 9, INK, round_by=3)
        on.box(42, top - 2, 58, top + 11, on.dark, round_by=3)
    on.line([(50, 17), (50, 22)], 2, WHITE)


def ball(on: Board) -> None:
    """Draw a plain ball."""
    on.oval(50, 49, 31, 31, on.colour)
    for width in (24, 12):
        on.arc(50, 49, (width, 31), (0, 360), 1.2, on.dark)
    on.arc(50, 49, (24, 24), (200, 250), 2.4, on.light)


def band(on: Board) -> None:
    """Draw elastic bands."""
    for x, y, radius, colour in ((40, 42, 20, on.dark), (60, 46, 18, on.light), (49, 60, 18, on.colour)):
        on.ring(x, y, radius, 5, colour)


def ring(on: Board) -> None:
    """Draw a ring that floats."""
    on.ring(50, 49, 32, 15, on.colour)
    for start in (20, 110, 200, 290):
        on.arc(50, 49, (32, 32), (start, start + 50), 15, WHITE)
    on.ring(50, 49, 33, 1.2, on.dark)
    on.ring(50, 49, 17, 1.2, on.dark)


def lamp(on: Board) -> None:
    """Draw a lamp with its light."""
    on.shape("56,36 90,22 90,78 56,62", "#fbe9a6")
    on.box(18, 38, 46, 60, on.colour, round_by=5)
    on.box(42, 32, 56, 66, on.dark, round_by=4)
    on.box(53, 35, 58, 63, WHITE, round_by=2)
    on.box(25, 34, 36, 40, INK, round_by=2)


def kit(on: Board) -> None:
    """Draw a case of tools."""
    on.arc(50, 34, (12, 11), (180, 360), 3.4, INK)
    on.box(18, 33, 82, 78, on.colour, round_by=6)
    on.box(18, 50, 82, 54, on.dark)
    on.box(44, 46, 56, 58, WHITE, round_by=2)
    on.box(26, 62, 42, 66, on.light, round_by=2)


MOTIFS: Mapping[str, Callable[[Board], None]] = {
    each.__name__: each
    for each in (
        shoe, boot, sock, shirt, shorts, jacket, swimsuit, football, goal, glove, bike, helmet, wheel, goggles, cap, racket, balls, mat,
        dumbbell, backpack, tent, ski, snowboard, bottle, watch, ball, band, ring, lamp, kit,
    )
}  # fmt: skip


def encoded(picture: DemoPicture) -> dict[str, bytes]:
    """Return the files of a picture by name. Each rendition is that of an upload of the picture."""
    upload = io.BytesIO()
    board = Board(picture.colour, SIDE)
    MOTIFS[picture.motif](board)
    board.picture().save(upload, "PNG")
    made = {size: content for size, (_, content) in renditions(upload.getvalue())}
    return {file: made[size] for size, file in files(picture.name)}


def main() -> int:
    """Write the files of the pictures of the demo shop into its package, and delete others."""
    directory = Path(demo.__file__).with_name(DIRECTORY)
    made = {file: content for picture in pictures().values() for file, content in encoded(picture).items()}
    directory.mkdir(exist_ok=True)
    for path in directory.iterdir():
        if path.name not in made:
            path.unlink()
    for file, content in made.items():
        (directory / file).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
