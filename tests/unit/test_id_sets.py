"""Sets of ids in a few bytes each."""

import sys
from uuid import UUID

from mercato_server.domain.id_sets import IdSet
from mercato_server.domain.ids import new_id


def test_a_set_has_what_was_added_and_nothing_else() -> None:
    ids, others = [new_id() for _ in range(10_000)], [new_id() for _ in range(10_000)]
    found = IdSet()
    for each in (*ids, *ids[:100]):
        found.add(each)
    assert len(found) == len(ids)
    assert all(each in found for each in ids)
    assert not any(each in found for each in others)
    assert UUID(int=0) not in found


def test_an_id_takes_at_most_sixteen_bytes() -> None:
    found = IdSet()
    for number in range(1, 100_001):
        found.add(new_id())
        if number % 997 == 0 and number > 1_024:
            assert sys.getsizeof(found._places) <= 16 * number + 200  # its memory is the promise
