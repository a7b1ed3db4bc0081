"""Reader of CSV records by RFC 4180, which names the lines of each record and refuses whatever the RFC does not define."""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

_CELL = r'(?:"(?:[^"]++|"")*+"|[^",\r\n]*+)'
_RECORD = re.compile(rf"{_CELL}(?:,{_CELL})*+(?:\r\n|\n)?")
"""A record: RFC 4180 section 2. A cell that holds a quotation mark is quoted, and nothing stands beside its quotation marks."""


class Record(NamedTuple):
    """A record of a file: the numbers of its first and last line, counted from 1, its cells, and its text as it is in the file."""

    first: int
    last: int
    cells: list[str]
    text: str


class Malformed(NamedTuple):
    """Lines that are no record, and the reason."""

    first: int
    last: int
    reason: str


def records(file: BinaryIO, line_bytes_max: int, advance: Callable[[int], None]) -> Iterator[Record | Malformed]:
    """Yield the records of a file in UTF-8 that are not blank.

    `advance` is called with the number of bytes read since its last call. Bytes that are not UTF-8 become lone surrogates. After a
    malformed record, reading goes on with the line that follows its last one.
    """
    lines = _Lines(file, line_bytes_max, advance)
    reader = csv.reader(lines, strict=True)
    while True:
        first = lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = "a quotation mark is not closed" if lines.ended else str(error)
            yield _malformed(first, lines.last, f"is not CSV: {problem}")
            continue
        except _LineTooLongError:
            reader = csv.reader(lines, strict=True)
            yield _malformed(first, lines.last, f"has more than {line_bytes_max} bytes")
            continue
        if not cells:
            continue
        if not _RECORD.fullmatch(lines.text):
            yield _malformed(first, lines.last, "is not CSV: a cell with a quotation mark must be quoted")
        else:
            yield Record(first, lines.last, cells, lines.text)


def extent(first: int, last: int) -> str:
    """Return what a reason says of its lines if they are several."""
    return "" if first == last else f"; lines {first} to {last} were read as one row"


def _malformed(first: int, last: int, problem: str) -> Malformed:
    return Malformed(first, last, f"{problem}{extent(first, last)}")


class _LineTooLongError(Exception):
    """A line has too many bytes."""


class _Lines:
    """The lines of a file, decoded, and the text of those since `begin`."""

    def __init__(self, file: BinaryIO, line_bytes_max: int, advance: Callable[[int], None]) -> None:
        self._file = file
        self._line_bytes_max = line_bytes_max
        self._advance = advance
        self._since: list[str] = []
        self.last = 0
        """Number of the line that was read last."""
        self.ended = False

    def begin(self) -> int:
        """Begin a record; return the number of its first line."""
        self._since = []
        return self.last + 1

    @property
    def text(self) -> str:
        """The text of the lines since `begin`."""
        return "".join(self._since)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._line_bytes_max + 1)
        self._advance(len(line))
        if not line:
            self.ended = True
            raise StopIteration
        self.last += 1
        if len(line) > self._line_bytes_max:
            self._skip(line)
            raise _LineTooLongError
        text = (line.removeprefix(BOM_UTF8) if self.last == 1 else line).decode(errors="surrogateescape")
        self._since.append(text)
        return text

    def _skip(self, line: bytes) -> None:
        """Read to the end of a line without keeping it."""
        while line and not line.endswith(b"\n"):
            line = self._file.readline(self._line_bytes_max)
            self._advance(len(line))
