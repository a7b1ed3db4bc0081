"""Tax categories and tax rates as administrators write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mercato_server.domain.errors import Violation
from mercato_server.domain.taxes import TaxPart, TaxRate

CATEGORY_ID = re.compile(r"[a-z][a-z0-9-]{0,31}")
CATEGORIES_MAX = 200
"""Categories of a shop that are not archived."""
RATES_MAX = 5_000
"""Rates of a shop that are not archived. Each worker has them in memory."""
DISPLAY_NAME_MAX = 100
RATE_NAME_MAX = 100
REGION_MAX = 60
PARTS_MAX = 10
PART_SEPARATOR = ";"
"""It divides parts in files, so no name has it."""


class TaxCategory(NamedTuple):
    """A tax category as stored. The fields have the order of the columns."""

    id: str
    display_name: str
    version: int
    """The number of writes to the category."""
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change."""
        return f"{self.version:x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateDraft:
    """The fields of a rate that an administrator writes. An empty region or category stands for all."""

    country_code: str = ""
    region: str = ""
    category: str = ""
    name: str = ""
    ppm: int = 0
    parts: tuple[TaxPart, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @property
    def place(self) -> tuple[str, str, str]:
        """Country, region and category: of the rates of one place, at most one is valid at a moment."""
        return self.country_code, self.region, self.category

    def contradictions(self, prefix: str) -> Iterator[Violation]:
        """Yield the fields that do not fit the others; their names begin with a prefix."""
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            yield Violation(f"{prefix}valid_until", "must be after valid_from")
        if self.parts and sum(part.ppm for part in self.parts) != self.ppm:
            yield Violation(f"{prefix}parts", "must sum up to {rate_ppm}, the rate", {"rate_ppm": self.ppm})


class StoredRate(NamedTuple):
    """A rate as stored."""

    rate: TaxRate
    version: int
    """The number of writes to the rate."""
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change."""
        return f"{self.version:x}"

    @property
    def draft(self) -> RateDraft:
        """The fields that an administrator has written."""
        rate = self.rate
        return RateDraft(
            country_code=rate.country_code,
            region=rate.region,
            category=rate.category,
            name=rate.name,
            ppm=rate.ppm,
            parts=rate.parts,
            valid_from=rate.valid_from,
            valid_until=rate.valid_until,
        )
