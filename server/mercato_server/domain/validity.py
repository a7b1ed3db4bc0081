"""The moments between which a rule of prices may begin or end. PostgreSQL and Python have other first and last moments."""

from datetime import UTC, datetime

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
