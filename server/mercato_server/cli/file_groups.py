"""The groups of the rows of a file, which may be apart and in any order: rows of one group must fit together."""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from mercato_server.domain import product_groups
from mercato_server.domain.product_groups import VARIANTS_MAX, fold
from mercato_server.store.bulk_groups import Placement

DIGEST_BYTES = 16


class _First(NamedTuple):
    """The first row of a group: its line, and the names of the options."""

    line: int
    names: frozenset[str]


@dataclass(slots=True)
class FileGroups:
    """The groups that the rows of a file have stated so far; a row of options costs a digest of them."""

    _first: dict[str, _First] = field(default_factory=dict)
    _names: dict[str, tuple[int, str]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _options: dict[bytes, int] = field(default_factory=dict)

    def add(self, line: int, placement: Placement | None) -> str:
        """Return why a row does not fit to the earlier ones; empty if it does."""
        if placement is None or not placement.code:
            return ""
        code, names = placement.code, frozenset(fold(option.name) for option in placement.options)
        first = self._first.setdefault(code, _First(line, names))
        if names != first.names:
            return f"options: must have the names of line {first.line}, which is of the same group"
        if placement.name:
            named, name = self._names.setdefault(code, (line, placement.name))
            if name != placement.name:
                return f"group_name: is not that of line {named}, which is of the same group"
        text = repr((code, product_groups.key(placement.options)))
        earlier = self._options.setdefault(hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest(), line)
        if earlier != line:
            return f"options: are those of line {earlier}, too"
        self._sizes[code] = self._sizes.get(code, 0) + 1
        return f"group: has more than {VARIANTS_MAX} rows" if self._sizes[code] > VARIANTS_MAX else ""
