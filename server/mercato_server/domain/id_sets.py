"""Sets of random ids in a few bytes each."""

from array import array
from uuid import UUID

FIRST_PLACES = 1_024
FILLED_MAX = 0.75
"""Part of the places that may be taken, so that few ids have to look for another place than their own."""
BITS = (1 << 64) - 1


class IdSet:
    """A set of UUIDs of version 7 in at most 16 bytes each (above a thousand): only their last 64 bits are kept, 62 of them random.

    Of a hundred thousand ids, one that was never added is taken for another one with a probability of 10⁻¹³.
    """

    def __init__(self) -> None:
        self._places = array("Q", [0]) * FIRST_PLACES
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, id_: UUID) -> bool:
        return self._places[self._place(_bits(id_))] != 0

    def add(self, id_: UUID) -> None:
        """Add an id, or do nothing if it is there."""
        bits = _bits(id_)
        place = self._place(bits)
        if self._places[place]:
            return
        self._places[place] = bits
        self._size += 1
        if self._size > len(self._places) * FILLED_MAX:
            self._grow()

    def _place(self, bits: int) -> int:
        """Return where an id is, or the free place where it belongs."""
        places = self._places
        place = bits % len(places)
        while places[place] not in {0, bits}:
            place = (place + 1) % len(places)
        return place

    def _grow(self) -> None:
        before, self._places = self._places, array("Q", [0]) * (len(self._places) * 3 // 2)
        for bits in before:
            if bits:
                self._places[self._place(bits)] = bits


def _bits(id_: UUID) -> int:
    """Return the last 64 bits, which are never all 0: the first two of them are the variant."""
    return (id_.int & BITS) or 1
