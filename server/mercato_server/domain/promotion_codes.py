"""Codes of promotions: their form, and random ones."""

import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

CODE_MAX = 64
PREFIX_MAX = 12
LENGTH_MIN, LENGTH_MAX, LENGTH_DEFAULT = 8, 24, 12
"""Random characters of a code."""
COUNT_MAX = 10_000
"""Codes of a batch."""
CODES_MAX = 100_000
"""Codes of a promotion, the archived ones too."""
SHOP_CODES_MAX = 1_000_000
"""Codes of all promotions that are not archived."""

ALPHABET = "34679CDFGHJKMNPQRTWXY"
"""Characters of random codes. A code of 12 has 52 bits.

Those that look alike are absent (0 and O, 1, I and L, 2 and Z, 5 and S, 8 and B, U and V), and so are vowels: no code is a word.
"""
_UNBIASED = 256 - 256 % len(ALPHABET)
_CHUNK = 4_096
_SIGNS = "-_"


class PromotionCode(NamedTuple):
    """A code as stored. The fields have the order of the columns."""

    folded: str
    code: str
    promotion_id: UUID
    batch_id: UUID | None
    usage_limit: int | None
    used: int
    created_at: datetime
    archived_at: datetime | None


class CodeDraft(NamedTuple):
    """A code that is to be made."""

    code: str
    folded: str
    """Its `promotions.folded_code`."""
    usage_limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBatch:
    """Random codes that are to be made."""

    count: int
    prefix: str = ""
    length: int = LENGTH_DEFAULT
    usage_limit: int = 1


def is_code(folded: str) -> bool:
    """Return whether the folded form of a code has only letters, digits and a few signs, and begins with a letter or digit.

    So a code is one segment of a URL's path, and no formula for a spreadsheet.
    """
    kinds = [unicodedata.category(character)[0] for character in folded]
    return not kinds or (kinds[0] in "LN" and all(kind in "LMN" or folded[place] in _SIGNS for place, kind in enumerate(kinds)))


def random_codes(batch: CodeBatch) -> Iterator[str]:
    """Yield random codes of a batch without end, from the system's source of secrets."""
    characters = _random_characters()
    while True:
        yield batch.prefix + "".join(islice(characters, batch.length))


def _random_characters() -> Iterator[str]:
    while True:
        for byte in secrets.token_bytes(_CHUNK):
            if byte < _UNBIASED:
                yield ALPHABET[byte % len(ALPHABET)]
