"""Reader and writer of CSV files of tax rates (RFC 4180, UTF-8)."""

import csv
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mercato_server.cli import whole_files
from mercato_server.cli.csv_records import Malformed, Record, records
from mercato_server.cli.products_csv import CsvError, unprotected
from mercato_server.cli.whole_files import Cells
from mercato_server.domain.moments import EARLIEST, LATEST
from mercato_server.domain.refused_lines import Refused
from mercato_server.domain.rounding import MILLION
from mercato_server.domain.tax_rate_files import Incoming
from mercato_server.domain.tax_rates import PART_SEPARATOR, RATES_MAX, RateDraft
from mercato_server.domain.taxes import TaxPart
from mercato_server.validation import tax_rates
from mercato_server.validation.checks import Checks

REQUIRED = ("country_code", "name")
UNITS = ("percent", "rate_ppm")
"""Columns of which a file has one."""
CHANGEABLE = ("name", "valid_until", "parts")
"""Columns of fields that can change; a draft has the same names."""
OPTIONAL = ("region", "tax_category", "valid_from", "valid_until", "parts")
LINE_BYTES_MAX = 64 * 1024
_HEADER = (
    f"the first line must name columns, separated by commas: {', '.join(REQUIRED)}, {' or '.join(UNITS)}, "
    f"and of {', '.join(OPTIONAL)} any, once"
)
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?")
_PPM = re.compile(r"[0-9]{1,7}")
_FORMULA = re.compile(r"['=+@\t\r\n\uFF0B\uFF0D\uFF1D\uFF20-]")
"""The first character of a cell that a spreadsheet takes for a formula (OWASP, CSV Injection), or an apostrophe."""


class RateFile(NamedTuple):
    """The content of a file."""

    incoming: list[Incoming]
    fields: list[str]
    """The fields of drafts that the file has, and that can change."""
    bad: list[Refused]


def read(path: Path, *, spreadsheet_safe: bool) -> RateFile:
    """Read a file; with `spreadsheet_safe` it was exported for spreadsheets.

    A second line of the same rate is bad. Raises CsvError for a wrong header or too many rates, and OSError.
    """
    found = RateFile([], [], [])
    seen: dict[object, int] = {}
    with path.open("rb") as file:
        lines = records(file, LINE_BYTES_MAX, lambda _: None)
        columns = _columns(next(lines, None))
        found.fields.extend(column for column in CHANGEABLE if column in columns)
        for record in lines:
            draft = whole_files.row(columns, unprotected(record) if spreadsheet_safe else record, _draft)
            rate = draft if isinstance(draft, Refused) else Incoming(record.first, draft)
            if isinstance(rate, Incoming) and (first := seen.setdefault(rate.key, rate.line)) != rate.line:
                rate = Refused(rate.line, f"is the rate of line {first}, too: country, region, category and valid_from are the same")
            if isinstance(rate, Refused):
                found.bad.append(rate)
            else:
                found.incoming.append(rate)
            if len(found.incoming) + len(found.bad) > RATES_MAX:
                raise CsvError(f"{path} has more than {RATES_MAX} lines")
    return found


def write(file: BinaryIO, rates: Iterable[RateDraft], *, spreadsheet_safe: bool) -> None:
    """Write rates as a file that `read` takes."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if spreadsheet_safe else csv.QUOTE_MINIMAL)
    writer.writerow(("country_code", "region", "tax_category", "name", "percent", "valid_from", "valid_until", "parts"))
    for rate in rates:
        parts = PART_SEPARATOR.join(f"{part.name}={_percent(part.ppm)}" for part in rate.parts)
        times = [moment.astimezone(UTC).isoformat() if moment else "" for moment in (rate.valid_from, rate.valid_until)]
        cells = (*rate.place, rate.name, _percent(rate.ppm), *times, parts)
        writer.writerow([f"'{cell}" if spreadsheet_safe and _FORMULA.match(cell) else cell for cell in cells])
    file.write(text.getvalue().encode())


def _percent(ppm: int) -> str:
    whole, rest = divmod(ppm, MILLION // 100)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".")


def _columns(header: Record | Malformed | None) -> list[str]:
    """Return the names of the columns; raises CsvError."""
    columns = [cell.strip().lower() for cell in header.cells] if isinstance(header, Record) else []
    known = (*REQUIRED, *UNITS, *OPTIONAL)
    is_complete = all(name in columns for name in REQUIRED) and sum(name in columns for name in UNITS) == 1
    if not is_complete or len(set(columns)) < len(columns) or not set(columns) <= set(known):
        raise CsvError(_HEADER)
    return columns


def _draft(check: Checks, cells: Cells) -> RateDraft:
    [unit] = (unit for unit in UNITS if unit in cells)
    parts = [part for part in cells.get("parts", "").split(PART_SEPARATOR) if part.strip()]
    draft = RateDraft(
        country_code=cells["country_code"].strip(),
        region=cells.get("region", ""),
        category=cells.get("tax_category", "").strip(),
        name=tax_rates.rate_name(check, "name", cells["name"]),
        ppm=_ppm(check, unit, unit, cells[unit]),
        parts=tax_rates.parts(check, "parts", [_part(check, f"parts[{index}]", unit, part) for index, part in enumerate(parts)]),
        valid_from=_time(check, "valid_from", cells.get("valid_from", "")),
        valid_until=_time(check, "valid_until", cells.get("valid_until", "")),
    )
    return tax_rates.fixed(check, "", draft)


def _part(check: Checks, field: str, unit: str, text: str) -> TaxPart:
    """Parse a part such as State=6, in the unit of the file."""
    name, _, share = text.rpartition("=")
    return TaxPart(name, _ppm(check, field, unit, share))


def _ppm(check: Checks, field: str, unit: str, cell: str) -> int:
    """Parse a rate in the unit of the file."""
    if unit == "rate_ppm":
        if not _PPM.fullmatch(cell.strip()):
            check.fail(field, "must be a whole number of parts per million, such as 190000")
            return 0
        return int(cell)
    digits = _PERCENT.fullmatch(cell.strip())
    ppm = int(digits[1]) * (MILLION // 100) + int((digits[2] or "").ljust(4, "0")) if digits else MILLION + 1
    if ppm > MILLION:
        check.fail(field, "must be a percentage from 0 to 100 with at most four decimals, such as 7.25")
        return 0
    return ppm


def _time(check: Checks, field: str, cell: str) -> datetime | None:
    """Parse a time of ISO 8601, which has an offset; None for an empty cell."""
    if not cell.strip():
        return None
    try:
        moment = datetime.fromisoformat(cell.strip())
        if moment.tzinfo and EARLIEST <= moment <= LATEST:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    check.fail(
        field,
        "must be a time with an offset from {earliest} to {latest}, such as 2027-01-01T00:00:00+01:00",
        earliest=EARLIEST.isoformat(),
        latest=LATEST.isoformat(),
    )
    return None
