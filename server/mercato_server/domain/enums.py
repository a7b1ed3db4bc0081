"""Enumerations of values in the database that a later release may extend."""

from enum import StrEnum
from typing import Self


class OpenEnum(StrEnum):
    """An enumeration that reads a value of a later release as its member UNKNOWN, which it must have; UNKNOWN is never written."""

    @classmethod
    def _missing_(cls, _: object) -> Self:
        return cls["UNKNOWN"]
