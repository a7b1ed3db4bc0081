"""The prices of the demo shop keep the API's limits, and go with its catalog."""

from datetime import UTC, datetime
from itertools import pairwise

from mercato_server.demo import catalog, category_id
from mercato_server.demo.prices import prices, zone_id
from mercato_server.domain.moments import EARLIEST
from mercato_server.domain.promotion_codes import is_code
from mercato_server.domain.shipping import ShippingRate
from mercato_server.domain.shipping_records import SHIPPING_DESCRIPTION_MAX, SHIPPING_NAME_MAX
from mercato_server.domain.tax_rates import CATEGORY_ID

PRICES = prices()
CATEGORIES, PRODUCTS = catalog()


def test_there_are_two_zones_and_three_methods() -> None:
    assert [[area.country_code for area in zone.areas or ()] for zone in PRICES.zones] == [["DE"], ["AT", "BE", "FR", "NL"]]
    assert [method.name for method in PRICES.methods] == ["Parcel", "Express", "Pick-up point"]
    names = [*(zone.name for zone in PRICES.zones), *(method.name for method in PRICES.methods)]
    assert all(name and len(name) <= SHIPPING_NAME_MAX for name in names)
    for method in PRICES.methods:
        assert method.description
        assert len(method.description) <= SHIPPING_DESCRIPTION_MAX


def test_a_rate_of_delivery_begins_at_nothing_and_rises_with_the_weight() -> None:
    for method in PRICES.methods:
        assert method.rates
        assert method.rates.keys() <= {zone_id(number) for number in range(len(PRICES.zones))}
        for rate in method.rates.values():
            require_rising(rate)


def require_rising(rate: ShippingRate) -> None:
    assert rate.tiers[0].start == 0
    assert all(lower.start < higher.start and lower.price_minor < higher.price_minor for lower, higher in pairwise(rate.tiers))
    assert rate.end is None or rate.end > rate.tiers[-1].start


def test_each_country_of_delivery_taxes_each_category() -> None:
    delivered = {area.country_code for zone in PRICES.zones for area in zone.areas or ()}
    assert {rate.place for rate in PRICES.rates} == {(country, "", category) for country in delivered for category in PRICES.tax_categories}
    assert len(PRICES.rates) == 2 * len(delivered)
    assert {product.tax_category for product in PRODUCTS} == PRICES.tax_categories.keys()
    assert all(CATEGORY_ID.fullmatch(code) for code in PRICES.tax_categories)


def test_a_rate_of_tax_has_begun_and_has_no_end() -> None:
    for rate in PRICES.rates:
        assert rate.valid_from is not None
        assert EARLIEST <= rate.valid_from < datetime(2026, 11, 1, tzinfo=UTC)
        assert rate.valid_from.utcoffset() is not None
        assert rate.valid_until is None


def test_a_promotion_has_a_code_and_no_contradictions() -> None:
    codes = [promotion.code for promotion in PRICES.promotions]
    assert len({code.folded for code in codes}) == len(codes) == 3
    assert all(is_code(code.folded) for code in codes)
    for promotion in PRICES.promotions:
        assert promotion.draft.needs_code
        assert list(promotion.draft.violations()) == []
    scopes = [promotion.draft.category_ids for promotion in PRICES.promotions if promotion.draft.category_ids]
    assert scopes == [(category_id(CATEGORIES.index("Football")),)]
