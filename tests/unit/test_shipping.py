"""Delivery: the zone of a destination, and the price of a delivery there."""

import itertools
import random
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.shipping import Area, Destination, RateBasis, ShippingMethod, ShippingRate, ShippingTable, Tier, Zone

METHOD, OTHER = UUID(int=101), UUID(int=102)
PARCELS = ShippingRate(RateBasis.WEIGHT, (Tier(0, 499), Tier(2_000, 799), Tier(10_000, 1_599)), end=31_500)
BY_SUBTOTAL = ShippingRate(RateBasis.SUBTOTAL, (Tier(1_000, 500), Tier(5_000, 250)))
MEASURES = st.integers(0, 60)


def found(zones: Sequence[Zone], destination: Destination) -> int | None:
    """Return the number of the zone that a table finds: each zone has its number as price."""
    rates = {zone.id: ShippingRate(RateBasis.WEIGHT, (Tier(0, zone.id.int),)) for zone in zones}
    return ShippingTable(zones, [ShippingMethod(METHOD, "", "", rates)]).price_minor(METHOD, destination, 0, 0)


def zones_of(*areas: Area) -> list[Zone]:
    """Return a zone for each area, numbered from 1."""
    return [Zone(UUID(int=number), "", (area,)) for number, area in enumerate(areas, 1)]


@pytest.mark.parametrize(
    ("weight_grams", "price_minor"),
    [(0, 499), (1, 499), (1_999, 499), (2_000, 799), (9_999, 799), (10_000, 1_599), (31_499, 1_599), (31_500, None), (10**12, None)],
)
def test_a_tier_holds_from_its_start_to_before_the_next_one(weight_grams: int, price_minor: int | None) -> None:
    assert PARCELS.price_minor(weight_grams, 10**9) == price_minor


@pytest.mark.parametrize(("subtotal_minor", "price_minor"), [(0, None), (999, None), (1_000, 500), (4_999, 500), (5_000, 250)])
def test_goods_below_the_first_tier_are_not_delivered(subtotal_minor: int, price_minor: int | None) -> None:
    assert BY_SUBTOTAL.price_minor(10**9, subtotal_minor) == price_minor


@pytest.mark.parametrize(
    ("weight_grams", "subtotal_minor", "price_minor"), [(0, 9_999, 499), (0, 10_000, 0), (31_499, 10_001, 0), (31_500, 10_000, None)]
)
def test_a_delivery_is_free_from_a_subtotal_on_where_there_is_one(weight_grams: int, subtotal_minor: int, price_minor: int | None) -> None:
    assert PARCELS._replace(free_from_minor=10_000).price_minor(weight_grams, subtotal_minor) == price_minor


def test_a_rate_by_a_measure_of_a_later_release_delivers_nothing() -> None:
    assert RateBasis("volume") is RateBasis.UNKNOWN
    assert ShippingRate(RateBasis("volume"), (Tier(0, 499),), free_from_minor=0).price_minor(1, 1) is None


@given(st.lists(MEASURES, unique=True, min_size=1, max_size=6), MEASURES | st.none(), MEASURES | st.none(), MEASURES, MEASURES)
def test_each_measure_has_the_price_of_the_last_tier_that_it_reaches(
    starts: list[int], end: int | None, free_from: int | None, weight: int, subtotal: int
) -> None:
    prices = {start: 100 + start for start in sorted(starts)}
    tiers = tuple(Tier(*tier) for tier in prices.items())
    for basis, measure in ((RateBasis.WEIGHT, weight), (RateBasis.SUBTOTAL, subtotal)):
        expected: int | None = None
        for below in range(measure + 1):  # walk up from 0
            expected = prices.get(below, expected)
            if end is not None and below >= end:
                expected = None
                break
        if expected is not None and free_from is not None and subtotal >= free_from:
            expected = 0
        assert ShippingRate(basis, tiers, end, free_from).price_minor(weight, subtotal) == expected


DIGITS = st.text("012", min_size=1, max_size=5)


@given(st.lists(DIGITS, unique=True, max_size=8), st.text("012", min_size=5, max_size=5), st.randoms(use_true_random=False))
def test_the_longest_prefix_wins_in_any_order_of_zones(prefixes: list[str], code: str, order: random.Random) -> None:
    zones = zones_of(Area("DE"), *(Area("DE", "", prefix) for prefix in prefixes), Area("FR"), Area("FR", "", code))
    longest = max((prefix for prefix in prefixes if code.startswith(prefix)), key=len, default="")
    expected = 2 + prefixes.index(longest) if longest else 1
    order.shuffle(zones)
    assert found(zones, Destination("DE", "", code)) == expected


AREAS = (Area("US"), Area("US", "CA"), Area("US", "", "94"), Area("US", "", "941"), Area("CA"), Area("GB", "", "SW1 "))


@pytest.mark.parametrize(
    ("destination", "number"),
    [
        (Destination("US"), 1),
        (Destination("US", "NY", "10001"), 1),
        (Destination("US", "", "10001"), 1),
        (Destination("US", "CA", "90001"), 2),
        (Destination("US", "CA"), 2),
        (Destination("US", "CA", "94999"), 3),
        (Destination("US", "NY", "94999"), 3),
        (Destination("US", "CA", "94110-0000"), 4),
        (Destination("CA", "US", "94110"), 5),
        (Destination("GB", "", "SW1 2AA"), 6),
        (Destination("GB", "", "SW1"), 6),
        (Destination("GB", "", "SW1A 1AA"), None),
        (Destination("GB", "", ""), None),
        (Destination("DE", "CA", "94110"), None),
        (Destination("", "", ""), None),
        (Destination("XX", "", "94110"), None),
    ],
)
def test_a_prefix_goes_before_the_region_and_that_before_the_country(destination: Destination, number: int | None) -> None:
    for zones in itertools.islice(itertools.permutations(zones_of(*AREAS)), 0, None, 90):
        assert found(zones, destination) == number


@pytest.mark.parametrize(
    ("area", "code"),
    [
        (Area("SE", "", "1145"), "114 55"),
        (Area("SE", "", "114 5"), "11455"),
        (Area("NL", "", "1234 "), "1234 AB"),
        (Area("NL", "", "1234 a"), "1234AB"),
        (Area("IE", "", "D02 "), "D02"),
        (Area("JP", "", "154"), "1540023"),
        (Area("XX", "", "A"), "AB"),
    ],
)
def test_codes_and_prefixes_are_compared_in_one_form(area: Area, code: str) -> None:
    assert found(zones_of(area), Destination(area.country_code, "", code)) == 1


def test_a_method_without_a_rate_for_the_zone_does_not_deliver_there() -> None:
    """Also if it has one for the whole country: the islands are a zone of their own."""
    mainland, islands = zones_of(Area("DE"), Area("DE", "", "25859"))
    table = ShippingTable([mainland, islands], [ShippingMethod(METHOD, "Parcel", "", {mainland.id: PARCELS})])
    assert table.price_minor(METHOD, Destination("DE", "", "25858"), 0, 0) == 499
    assert table.price_minor(METHOD, Destination("DE", "", "25859"), 0, 0) is None
    assert table.price_minor(OTHER, Destination("DE", "", "25858"), 0, 0) is None


def test_buyers_see_the_methods_in_their_order() -> None:
    methods = [ShippingMethod(method_id, "", "", {}) for method_id in (OTHER, METHOD)]
    assert list(ShippingTable((), methods).methods) == [OTHER, METHOD]
