"""Moments in UTC that bound others."""

from datetime import UTC, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""From which timestamps of messages, and ids, count."""

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Between which a rule of prices may begin or end. PostgreSQL and Python have other first and last moments."""
