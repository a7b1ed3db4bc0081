"""The settings of the shop that administrators change."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from mercato_server.domain.taxes import TaxRounding


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsDraft:
    """The fields that an administrator writes."""

    country_code: str = ""
    """Where a sale without an address is taxed; empty: it is not taxed."""
    prices_include_tax: bool = True
    tax_rounding: TaxRounding = TaxRounding.LINE
    time_zone: str = "UTC"
    """A name of the IANA database; it cuts days in exports and reports only."""


class ShopSettings(NamedTuple):
    """The settings as stored. The fields have the order of the columns."""

    country_code: str
    prices_include_tax: bool
    tax_rounding: TaxRounding
    time_zone: str
    version: int
    """The number of writes."""
    updated_at: datetime

    @property
    def etag(self) -> str:
        """The etag: opaque to callers, and different after every change."""
        return f"{self.version:x}"
