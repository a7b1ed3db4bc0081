"""Prices with a delivery, from docs/pricing.md (delivery)."""

from dataclasses import replace

from support.price_examples.model import Address, Area, Delivered, Example, Item, Method, Offer, Price, Sale, Tariff, everywhere

TIERS = "a tier holds from its start on, up to before the next one; goods below the first tier, or from the end on, are not delivered"
FREE_FROM = "a delivery is free from a subtotal on"
THRESHOLDS = "thresholds look at the lines that need delivery, after promotions"
ZONES = "the longest postal prefix wins, then region, then country; a prefix that ends in a space means the whole district"
FREE = "free delivery may name methods and a highest price; without them it is for all"
LIKE_ANY_OTHER = "free delivery counts like any other promotion"
NEEDS = "an order needs an address only if one of its lines needs delivery"

GERMANY, BRITAIN, IRELAND = Area("DE"), Area("GB"), Area("IE")
BERLIN = Address("DE", "", "10115")
BALL = Item("Ball", 10_00, needs_delivery=True, weight_grams=400)
EBOOK = Item("E-book", 5_00)
BY_WEIGHT = Tariff((GERMANY,), ((0, 4_00), (1_000, 6_00), (5_000, 9_00)), "weight", end=10_000)
BY_SUBTOTAL = Tariff((GERMANY,), ((10_00, 4_00), (20_00, 3_00)), end=100_00)
FROM_30 = Tariff((GERMANY,), ((0, 4_00),), free_from_minor=30_00)
FREE_DELIVERY = Offer("Free delivery", "free_delivery")
TENTH = Offer("Tenth", "percent", percent_ppm=100_000)
UNAVAILABLE = "SHIPPING_METHOD_UNAVAILABLE"


def weighing(grams: int) -> Sale:
    """Return a sale of an item of a weight, whose delivery is priced by weight."""
    return Sale((replace(BALL, weight_grams=grams),), methods=(Method("Parcel", (BY_WEIGHT,)),), address=BERLIN)


def costing(price_minor: int, tariff: Tariff = BY_SUBTOTAL, *offers: Offer) -> Sale:
    """Return a sale of an item of a price."""
    return Sale((replace(BALL, price_minor=price_minor),), methods=(Method("Parcel", (tariff,)),), offers=offers, address=BERLIN)


def example(name: str, rule: str, sale: Sale, total_minor: int, delivery: Delivered | None = None) -> Example:
    """Return an example of what a delivery costs."""
    return Example(name, rule, sale, Price(total_minor, delivery=delivery))


def refused(name: str, rule: str, sale: Sale, reason: str) -> Example:
    """Return an example of a sale that is no order yet."""
    return Example(name, rule, sale, Price(missing=reason))


TARIFFS = (
    example("the heaviest goods of a tier", TIERS, weighing(999), 14_00, Delivered(4_00)),
    example("the lightest goods of a tier", TIERS, weighing(1_000), 16_00, Delivered(6_00)),
    example("the heaviest goods of all", TIERS, weighing(9_999), 19_00, Delivered(9_00)),
    refused("goods of the weight at which a method ends", TIERS, weighing(10_000), UNAVAILABLE),
    example("goods without weight", TIERS, weighing(0), 14_00, Delivered(4_00)),
    example(
        "the weights of all units, without those that need no delivery",
        TIERS,
        replace(weighing(500), items=(replace(BALL, quantity=2, weight_grams=499), replace(EBOOK, weight_grams=5_000))),
        29_00,
        Delivered(4_00),
    ),
    refused("goods below the first tier", TIERS, costing(9_99), UNAVAILABLE),
    example("goods at the start of the first tier", TIERS, costing(10_00), 14_00, Delivered(4_00)),
    example("goods a minor unit below a tier", TIERS, costing(19_99), 23_99, Delivered(4_00)),
    example("goods at the start of a tier", TIERS, costing(20_00), 23_00, Delivered(3_00)),
    example("goods a minor unit below the end", TIERS, costing(99_99), 102_99, Delivered(3_00)),
    refused("goods at the end", TIERS, costing(100_00), UNAVAILABLE),
    example("a minor unit below free delivery", FREE_FROM, costing(29_99, FROM_30), 33_99, Delivered(4_00)),
    example("exactly at free delivery", FREE_FROM, costing(30_00, FROM_30), 30_00, Delivered(0)),
    example(
        "free from a subtotal, priced by weight",
        FREE_FROM,
        costing(30_00, replace(BY_WEIGHT, free_from_minor=30_00)),
        30_00,
        Delivered(0),
    ),
    refused(
        "free from a subtotal, too heavy",
        FREE_FROM,
        replace(weighing(10_000), methods=(Method("Parcel", (replace(BY_WEIGHT, free_from_minor=1),)),)),
        UNAVAILABLE,
    ),
    example("a promotion takes free delivery away", THRESHOLDS, costing(30_00, FROM_30, TENTH), 31_00, Delivered(4_00)),
    example("a promotion just leaves free delivery", THRESHOLDS, costing(33_33, FROM_30, TENTH), 30_00, Delivered(0)),
    refused("a promotion takes the delivery away", THRESHOLDS, costing(10_00, BY_SUBTOTAL, TENTH), UNAVAILABLE),
    example(
        "goods without delivery do not count",
        THRESHOLDS,
        replace(costing(29_00, FROM_30), items=(replace(BALL, price_minor=29_00), EBOOK)),
        38_00,
        Delivered(4_00),
    ),
)

PLACES = Method(
    "Parcel",
    (
        Tariff((GERMANY,), ((0, 5_00),)),
        Tariff((Area("DE", "BY"),), ((0, 6_00),)),
        Tariff((Area("DE", postal_prefix="8"),), ((0, 7_00),)),
        Tariff((Area("DE", postal_prefix="803"),), ((0, 8_00),)),
        Tariff((Area("GB", postal_prefix="SW1 "), Area("IE", postal_prefix="D02 ")), ((0, 2_00),)),
        Tariff((Area("GB", postal_prefix="SW1"),), ((0, 3_00),)),
        Tariff((BRITAIN, IRELAND), ((0, 9_00),)),
    ),
)


def to(country: str, region: str, postal_code: str, cost_minor: int) -> Example:
    """Return an example of a delivery to a place."""
    place = " ".join(filter(None, (country, region, postal_code)))
    sale = Sale((BALL,), methods=(PLACES,), address=Address(country, region, postal_code))
    return example(f"a delivery to {place}", ZONES, sale, 10_00 + cost_minor, Delivered(cost_minor))


DESTINATIONS = (
    to("DE", "", "10115", 5_00),
    to("DE", "BY", "97070", 6_00),
    to("DE", "BY", "81667", 7_00),
    to("DE", "BY", "80331", 8_00),
    to("DE", "", "", 5_00),
    to("GB", "", "SW1 2AA", 2_00),
    to("GB", "", "SW1A 2AA", 3_00),
    to("GB", "", "SW2 1AA", 9_00),
    to("IE", "", "D02 X285", 2_00),
    to("IE", "", "D02", 2_00),
    refused("a delivery to a country without a zone", ZONES, Sale((BALL,), methods=(PLACES,), address=Address("FR")), UNAVAILABLE),
)

SHOP = Sale((BALL,), methods=everywhere("DE", 4_00), address=BERLIN)
NEED = (
    example("goods that need no delivery, with an address and a method", NEEDS, replace(SHOP, items=(EBOOK,)), 5_00),
    example("goods that need no delivery, without an address", NEEDS, Sale((EBOOK,), methods=everywhere("DE", 4_00)), 5_00),
    refused("goods that need delivery, without an address", NEEDS, replace(SHOP, address=None), "ADDRESS_REQUIRED"),
    refused("goods that need delivery, without a method", NEEDS, replace(SHOP, chooses_method=False), "SHIPPING_METHOD_REQUIRED"),
    example("goods that need delivery, in a shop without methods", NEEDS, replace(SHOP, methods=()), 10_00),
)

OFFERS = (
    example("a free delivery", FREE, replace(SHOP, offers=(FREE_DELIVERY,)), 10_00, Delivered(4_00, 4_00)),
    example(
        "a free delivery by another method",
        FREE,
        replace(
            SHOP,
            methods=(*SHOP.methods, Method("Express", (Tariff((GERMANY,), ((0, 9_00),)),))),
            offers=(replace(FREE_DELIVERY, methods=("Express",)),),
        ),
        14_00,
        Delivered(4_00),
    ),
    example(
        "a free delivery by this method",
        FREE,
        replace(SHOP, offers=(replace(FREE_DELIVERY, methods=("Parcel",)),)),
        10_00,
        Delivered(4_00, 4_00),
    ),
    example(
        "a delivery at the highest price that is free",
        FREE,
        replace(SHOP, offers=(replace(FREE_DELIVERY, delivery_max_minor=4_00),)),
        10_00,
        Delivered(4_00, 4_00),
    ),
    example(
        "a delivery above the highest price that is free",
        FREE,
        replace(SHOP, offers=(replace(FREE_DELIVERY, delivery_max_minor=3_99),)),
        14_00,
        Delivered(4_00),
    ),
    example(
        "a free delivery for goods of a minimum",
        FREE,
        replace(SHOP, offers=(replace(FREE_DELIVERY, min_subtotal_minor=10_00),)),
        10_00,
        Delivered(4_00, 4_00),
    ),
    example(
        "a free delivery for a minimum that is missed",
        FREE,
        replace(SHOP, offers=(replace(FREE_DELIVERY, min_subtotal_minor=10_01),)),
        14_00,
        Delivered(4_00),
    ),
    example(
        "a free delivery for a minimum that an earlier one takes away",
        FREE,
        replace(SHOP, offers=(TENTH, replace(FREE_DELIVERY, min_subtotal_minor=10_00))),
        13_00,
        Delivered(4_00),
    ),
    example(
        "a free delivery for a minimum that a later one takes away",
        FREE,
        replace(SHOP, offers=(replace(FREE_DELIVERY, min_subtotal_minor=10_00), TENTH)),
        9_00,
        Delivered(4_00, 4_00),
    ),
    Example(
        "free delivery that stands alone, first",
        LIKE_ANY_OTHER,
        replace(SHOP, offers=(replace(FREE_DELIVERY, combinable=False), TENTH)),
        Price(10_00, (0,), delivery=Delivered(4_00, 4_00), given={"Free delivery": 4_00}),
    ),
    Example(
        "free delivery that stands alone, second",
        LIKE_ANY_OTHER,
        replace(SHOP, offers=(TENTH, replace(FREE_DELIVERY, combinable=False))),
        Price(13_00, (1_00,), delivery=Delivered(4_00), given={"Tenth": 1_00}),
    ),
    Example(
        "free delivery before one that stands alone",
        LIKE_ANY_OTHER,
        replace(SHOP, offers=(FREE_DELIVERY, replace(TENTH, combinable=False))),
        Price(10_00, (0,), delivery=Delivered(4_00, 4_00), given={"Free delivery": 4_00}),
    ),
    Example(
        "free delivery of a delivery that costs nothing",
        LIKE_ANY_OTHER,
        replace(SHOP, methods=everywhere("DE", 0), offers=(replace(FREE_DELIVERY, combinable=False), TENTH)),
        Price(9_00, (1_00,), delivery=Delivered(0), given={"Tenth": 1_00}),
    ),
    Example(
        "free delivery where nothing is delivered",
        LIKE_ANY_OTHER,
        replace(SHOP, items=(EBOOK,), offers=(replace(FREE_DELIVERY, combinable=False), TENTH)),
        Price(4_50, (50,), given={"Tenth": 50}),
    ),
    Example(
        "free delivery twice",
        LIKE_ANY_OTHER,
        replace(SHOP, offers=(FREE_DELIVERY, replace(FREE_DELIVERY, name="Again"))),
        Price(10_00, delivery=Delivered(4_00, 4_00), given={"Free delivery": 4_00}),
    ),
    Example(
        "a later promotion takes free-from away, so that free delivery gives",
        LIKE_ANY_OTHER,
        costing(30_00, FROM_30, FREE_DELIVERY, TENTH),
        Price(27_00, (3_00,), delivery=Delivered(4_00, 4_00), given={"Free delivery": 4_00, "Tenth": 3_00}),
    ),
    Example(
        "free delivery stands alone, so that free-from stays and it gives nothing",
        LIKE_ANY_OTHER,
        costing(30_00, FROM_30, replace(FREE_DELIVERY, combinable=False), TENTH),
        Price(31_00, (3_00,), delivery=Delivered(4_00), given={"Tenth": 3_00}),
    ),
    Example(
        "a later promotion makes the delivery dearer than the highest price that is free",
        LIKE_ANY_OTHER,
        costing(20_00, BY_SUBTOTAL, replace(FREE_DELIVERY, delivery_max_minor=3_00), TENTH),
        Price(22_00, (2_00,), delivery=Delivered(4_00), given={"Tenth": 2_00}),
    ),
)
