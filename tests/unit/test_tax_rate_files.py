"""The plan by which the live tax rates agree with a file."""

import itertools
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.moments import EARLIEST, LATEST
from mercato_server.domain.tax_rate_files import Incoming, plan
from mercato_server.domain.tax_rates import RateDraft
from mercato_server.domain.taxes import TaxPart

FIELDS = ("name", "valid_until", "parts")
MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))
ID, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def draft(**fields: Any) -> RateDraft:
    return RateDraft(**{"country_code": "DE", "name": "VAT", "ppm": 190_000, **fields})


def lines(*drafts: RateDraft) -> list[Incoming]:
    return [Incoming(line, each) for line, each in enumerate(drafts, start=2)]


def test_a_rate_is_that_of_the_same_place_and_beginning() -> None:
    live = {ID: draft(valid_from=MAY), OTHER: draft(region="BY")}
    changed = draft(valid_from=MAY, valid_until=JUNE, name="VAT 19%", parts=(TaxPart("a", 190_000),))
    new = draft(valid_from=JUNE, ppm=200_000)
    found = plan(live, {}, lines(changed, new, live[OTHER]), FIELDS)
    assert found == ([new], {ID: changed}, [])


def test_fields_that_the_file_does_not_have_stay() -> None:
    live = {ID: draft(name="Old", valid_until=JUNE, parts=(TaxPart("a", 190_000),))}
    assert plan(live, {}, lines(draft(name="New")), ["name"]).updated == {ID: draft(name="New", valid_until=JUNE, parts=live[ID].parts)}
    assert plan(live, {}, lines(draft(name="New")), ["name", "parts"]).updated == {ID: draft(name="New", valid_until=JUNE)}
    assert plan(live, {}, lines(draft()), []).updated == {}


def test_the_percentage_of_a_rate_is_not_changed() -> None:
    [refused] = plan({ID: draft()}, {}, lines(draft(ppm=200_000, name="other")), FIELDS).refused
    assert refused == (2, "the rate that begins then has 190000 ppm, which cannot be changed; end it and add another line")


def test_a_category_must_exist_and_be_live() -> None:
    categories = {"live": True, "gone": False}
    incoming = lines(*(draft(category=code) for code in ("", "live", "gone", "absent")))
    assert plan({}, categories, incoming, FIELDS).refused == [
        (4, "tax_category: gone is archived"),
        (5, "tax_category: absent does not exist"),
    ]


def test_fields_of_file_and_shop_together_must_fit() -> None:
    live = {ID: draft(parts=(TaxPart("a", 190_000),), valid_from=MAY, valid_until=JUNE)}
    incoming = lines(draft(valid_from=MAY, valid_until=MAY))
    assert [reason for _, reason in plan(live, {}, incoming, ["valid_until"]).refused] == ["valid_until: must be after valid_from"]


@pytest.mark.parametrize(
    ("live", "incoming", "refused"),
    [
        ([(None, None)], [(MAY, None)], [(2, f"overlaps the rate {ID}")]),
        ([(MAY, JUNE)], [(None, MAY), (JUNE, None)], []),
        ([(MAY, JUNE)], [(None, None)], [(2, f"overlaps the rate {ID}")]),
        ([(None, None)], [(None, MAY), (MAY, None)], []),
        ([], [(None, MAY), (MAY, None), (JUNE, JULY)], [(4, "overlaps that of line 3")]),
        ([], [(None, None), (MAY, JUNE), (JUNE, JULY)], [(3, "overlaps that of line 2"), (4, "overlaps that of line 2")]),
        ([], [(LATEST, None), (None, None)], [(2, "overlaps that of line 3")]),
        ([], [(EARLIEST, None), (None, EARLIEST)], []),
        ([], [(EARLIEST, None), (None, MAY)], [(2, "overlaps that of line 3")]),
    ],
)
def test_the_lines_of_rates_that_overlap_are_named(live: Sequence[Any], incoming: Sequence[Any], refused: list[Any]) -> None:
    rates = {uuid.UUID(int=number): draft(valid_from=begin, valid_until=end) for number, (begin, end) in enumerate(live, start=1)}
    drafts = lines(*(draft(valid_from=begin, valid_until=end) for begin, end in incoming))
    assert plan(rates, {}, drafts, FIELDS).refused == refused


HOURS = st.none() | st.integers(0, 5)


@given(
    st.lists(st.tuples(st.sampled_from(["", "BY"]), HOURS, HOURS), max_size=5),
    st.lists(st.tuples(st.sampled_from(["", "BY"]), HOURS, HOURS), max_size=5),
)
def test_a_plan_without_refusals_overlaps_nothing_and_any_overlap_is_refused(live: list[Any], incoming: list[Any]) -> None:
    def rates(rows: list[Any]) -> list[RateDraft]:
        spans = {(region, begin): (region, begin, end) for region, begin, end in rows if begin is None or end is None or begin < end}
        return [
            draft(
                region=region,
                valid_from=None if begin is None else datetime(2026, 1, 1, begin, tzinfo=UTC),
                valid_until=None if end is None else datetime(2026, 1, 1, end, tzinfo=UTC),
            )
            for region, begin, end in spans.values()
        ]

    drafts = rates(live)
    before = {uuid.UUID(int=number): rate for number, rate in enumerate(drafts) if not any(map(rate_overlaps(rate), drafts[:number]))}
    found = plan(before, {}, lines(*rates(incoming)), FIELDS)
    after = [*(before | found.updated).values(), *found.created]
    overlaps = any(rate_overlaps(one)(other) for one, other in itertools.combinations(after, 2))
    assert overlaps == bool(found.refused)


def rate_overlaps(one: RateDraft) -> Any:
    """Return whether a rate is valid at an hour, or half an hour later, at which another one of its place is."""
    moments = [datetime(2026, 1, 1, hour, minute, tzinfo=UTC) for hour in range(7) for minute in (0, 30)] + [EARLIEST]

    def valid(rate: RateDraft) -> set[datetime]:
        return {at for at in moments if (not rate.valid_from or rate.valid_from <= at) and (not rate.valid_until or at < rate.valid_until)}

    return lambda other: one.place == other.place and bool(valid(one) & valid(other))
