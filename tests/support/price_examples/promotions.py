"""Prices with promotions, from docs/pricing.md (promotions)."""

from dataclasses import replace

from support.price_examples.model import Example, Item, Offer, Price, Sale

LARGEST_REMAINDER = "a percentage is rounded once, half up, on the sum of its scope, then spread by largest remainder; ties by product id"
ORDER = "higher priority first, ties by promotion id; each takes what earlier ones left as its base"
MINIMUM = "min_subtotal is compared with what earlier promotions left of the scope"
COMBINABLE = "not combinable: only as the first that gives something, then no other; one that gives 0 blocks nothing"
AMOUNT = "an amount is given once per order, on goods only, never below 0; the redemption records what was given"
POOL = "one pool: floor(n / (X + Y)) * Y + max(0, n mod (X + Y) - X) units are free, the cheapest as left by earlier promotions"
SCOPES = "different scopes: min(units of Y, floor(units of X / X) * Y) are free, the cheapest as left by earlier promotions"
WINDOW = "windows are half-open"

BALL, BOOK, COAT = Item("Ball", 10_00, 1, category="toys"), Item("Book", 20_00, 1, category="books"), Item("Coat", 70_00)


def percent(ppm: int, name: str = "Percent") -> Offer:
    """Return an offer of a percentage."""
    return Offer(name, "percent", percent_ppm=ppm)


def amount(minor: int, name: str = "Amount") -> Offer:
    """Return an offer of an amount."""
    return Offer(name, "amount", amount_minor=minor)


def units(buy: int, get: int, name: str = "Units") -> Offer:
    """Return an offer of free units."""
    return Offer(name, "buy_x_get_y", buy=buy, get=get)


def example(
    name: str,
    rule: str,
    items: tuple[Item, ...],
    offers: tuple[Offer, ...],
    total_minor: int,
    discounts: tuple[int, ...],
    given: dict[str, int],
) -> Example:
    """Return an example of a sale without delivery and tax."""
    return Example(name, rule, Sale(items, offers=offers), Price(total_minor, discounts, given=given))


def priced(*prices: int) -> tuple[Item, ...]:
    """Return a unit of each of some products."""
    return tuple(Item(f"Item {number}", price) for number, price in enumerate(prices, start=1))


HALF_PRICE, FIVE_OFF = percent(500_000, "Half price"), amount(5_00, "Five off")

SPREADS = (
    example("a percentage, ties by product id", LARGEST_REMAINDER, priced(33, 33, 33), (percent(100_000),), 89, (4, 3, 3), {"Percent": 10}),
    example("two units left over, ties by product id", LARGEST_REMAINDER, priced(1, 1, 1), (amount(2),), 1, (1, 1, 0), {"Amount": 2}),
    example(
        "the largest remainder, not the first",
        LARGEST_REMAINDER,
        priced(1_00, 1_99),
        (percent(333_333),),
        1_99,
        (33, 67),
        {"Percent": 1_00},
    ),
    example("a percentage of exactly half a minor unit", LARGEST_REMAINDER, priced(1, 2), (percent(500_000),), 1, (1, 1), {"Percent": 2}),
    example("half of a single minor unit", LARGEST_REMAINDER, priced(1), (percent(500_000),), 0, (1,), {"Percent": 1}),
    example("a percentage a little below half a minor unit", LARGEST_REMAINDER, priced(49), (percent(10_000),), 49, (0,), {}),
    example("rounded on the sum, not on each line", LARGEST_REMAINDER, priced(5, 5, 5), (percent(100_000),), 13, (1, 1, 0), {"Percent": 2}),
    example("everything free", LARGEST_REMAINDER, priced(3_33, 7), (percent(1_000_000),), 0, (3_33, 7), {"Percent": 3_40}),
    example(
        "a line that costs nothing gets no discount",
        LARGEST_REMAINDER,
        priced(0, 10, 0),
        (percent(150_000),),
        8,
        (0, 2, 0),
        {"Percent": 2},
    ),
    example(
        "a percentage of one product",
        LARGEST_REMAINDER,
        (BALL, BOOK, COAT),
        (replace(percent(250_000), products=("Book",)),),
        95_00,
        (0, 5_00, 0),
        {"Percent": 5_00},
    ),
    example(
        "a percentage of a category and a product",
        LARGEST_REMAINDER,
        (BALL, BOOK, COAT),
        (replace(percent(100_000), products=("Coat",), categories=("toys",)),),
        92_00,
        (1_00, 0, 7_00),
        {"Percent": 8_00},
    ),
    example(
        "a third off a thousand units at the highest price",
        LARGEST_REMAINDER,
        (Item("Island", 10**12, 1000), Item("Sea", 10**12 - 1, 999)),
        (percent(333_333),),
        1_332_667_332_999_334,
        (333_333_000_000_000, 332_999_666_999_667),
        {"Percent": 666_332_666_999_667},
    ),
    example("an amount by weight", AMOUNT, (BALL, BOOK, COAT), (amount(10_00),), 90_00, (1_00, 2_00, 7_00), {"Amount": 10_00}),
    example("an amount above the price of the goods", AMOUNT, (BALL, BOOK), (amount(50_00),), 0, (10_00, 20_00), {"Amount": 30_00}),
    example(
        "an amount once, whatever the units",
        AMOUNT,
        (replace(BALL, quantity=3), BOOK),
        (replace(amount(4_00), products=("Ball",)),),
        46_00,
        (4_00, 0),
        {"Amount": 4_00},
    ),
    example(
        "an amount above what an earlier one left",
        AMOUNT,
        (BALL,),
        (HALF_PRICE, amount(9_00)),
        0,
        (10_00,),
        {"Half price": 5_00, "Amount": 5_00},
    ),
)

SEQUENCES = (
    example(
        "a percentage before an amount",
        ORDER,
        (BALL, BOOK),
        (FIVE_OFF, replace(HALF_PRICE, priority=1)),
        10_00,
        (6_67, 13_33),
        {"Five off": 5_00, "Half price": 15_00},
    ),
    example(
        "an amount before a percentage",
        ORDER,
        (BALL, BOOK),
        (replace(FIVE_OFF, priority=1), HALF_PRICE),
        12_50,
        (5_84, 11_66),
        {"Five off": 5_00, "Half price": 12_50},
    ),
    example(
        "of equal priority, the lower id first",
        ORDER,
        (BALL,),
        (FIVE_OFF, HALF_PRICE),
        2_50,
        (7_50,),
        {"Five off": 5_00, "Half price": 2_50},
    ),
    example(
        "of equal priority, the lower id first, the other way round",
        ORDER,
        (BALL,),
        (HALF_PRICE, FIVE_OFF),
        0,
        (10_00,),
        {"Half price": 5_00, "Five off": 5_00},
    ),
    example(
        "later shares follow what earlier ones left",
        ORDER,
        (BALL, BOOK),
        (replace(percent(500_000, "Half books"), categories=("books",), priority=1), amount(10_00)),
        10_00,
        (5_00, 15_00),
        {"Half books": 10_00, "Amount": 10_00},
    ),
    example(
        "a minimum that is reached exactly",
        MINIMUM,
        (BALL, BOOK),
        (replace(amount(5_00), min_subtotal_minor=30_00),),
        25_00,
        (1_67, 3_33),
        {"Amount": 5_00},
    ),
    example(
        "a minimum that is missed by one", MINIMUM, (BALL, BOOK), (replace(amount(5_00), min_subtotal_minor=30_01),), 30_00, (0, 0), {}
    ),
    example(
        "a minimum of the scope, not of the order",
        MINIMUM,
        (BALL, COAT),
        (replace(amount(5_00), products=("Ball",), min_subtotal_minor=10_01),),
        80_00,
        (0, 0),
        {},
    ),
    example(
        "a minimum that an earlier one takes away",
        MINIMUM,
        (BALL, BOOK),
        (replace(percent(100_000), priority=1), replace(amount(5_00), min_subtotal_minor=27_01)),
        27_00,
        (1_00, 2_00),
        {"Percent": 3_00},
    ),
    example(
        "a minimum that an earlier one just leaves",
        MINIMUM,
        (BALL, BOOK),
        (replace(percent(100_000), priority=1), replace(amount(5_00), min_subtotal_minor=27_00)),
        22_00,
        (2_67, 5_33),
        {"Percent": 3_00, "Amount": 5_00},
    ),
    example(
        "one that stands alone, first",
        COMBINABLE,
        (BALL,),
        (replace(HALF_PRICE, combinable=False), FIVE_OFF),
        5_00,
        (5_00,),
        {"Half price": 5_00},
    ),
    example(
        "one that stands alone, second",
        COMBINABLE,
        (BALL,),
        (FIVE_OFF, replace(HALF_PRICE, combinable=False)),
        5_00,
        (5_00,),
        {"Five off": 5_00},
    ),
    example(
        "one that stands alone between two others",
        COMBINABLE,
        (BALL,),
        (amount(1_00, "One off"), replace(HALF_PRICE, combinable=False), amount(2_00, "Two off")),
        7_00,
        (3_00,),
        {"One off": 1_00, "Two off": 2_00},
    ),
    example(
        "one that stands alone and gives 0",
        COMBINABLE,
        priced(49),
        (replace(percent(10_000), combinable=False), amount(9)),
        40,
        (9,),
        {"Amount": 9},
    ),
    example(
        "one that stands alone and matches nothing",
        COMBINABLE,
        (BALL,),
        (replace(HALF_PRICE, products=("Other",), combinable=False), FIVE_OFF),
        5_00,
        (5_00,),
        {"Five off": 5_00},
    ),
    example(
        "one that gives 0, before one that stands alone",
        COMBINABLE,
        (BALL,),
        (replace(amount(5_00), min_subtotal_minor=10_01), replace(HALF_PRICE, combinable=False)),
        5_00,
        (5_00,),
        {"Half price": 5_00},
    ),
    Example(
        "the first moment of a window",
        WINDOW,
        Sale((BALL,), offers=(replace(FIVE_OFF, starts_at="2026-06-01T12:00:00Z", ends_at="2026-06-02T00:00:00Z"),)),
        Price(5_00),
    ),
    Example(
        "the moment at which a window ends",
        WINDOW,
        Sale((BALL,), offers=(replace(FIVE_OFF, starts_at="2026-05-01T00:00:00Z", ends_at="2026-06-01T12:00:00Z"),)),
        Price(10_00),
    ),
    Example(
        "the moment before a window, as its offset tells",
        WINDOW,
        Sale((BALL,), offers=(replace(FIVE_OFF, starts_at="2026-06-01T14:00:00.000001+02:00"),)),
        Price(10_00),
    ),
)

FREE_UNITS = (
    example("two and one of seven units", POOL, (replace(BALL, quantity=7),), (units(2, 1),), 50_00, (20_00,), {"Units": 20_00}),
    example("a rest that is more than X", POOL, (replace(BALL, quantity=7),), (units(2, 2),), 40_00, (30_00,), {"Units": 30_00}),
    example("a rest that is exactly X", POOL, (replace(BALL, quantity=6),), (units(2, 2),), 40_00, (20_00,), {"Units": 20_00}),
    example("too few units", POOL, (replace(BALL, quantity=2),), (units(2, 1),), 20_00, (0,), {}),
    example("the cheapest units of all lines", POOL, (BOOK, BALL, COAT), (units(2, 1),), 90_00, (0, 10_00, 0), {"Units": 10_00}),
    example(
        "the cheapest units, from more than one line",
        POOL,
        (replace(BALL, quantity=2), replace(BOOK, quantity=3), COAT),
        (units(1, 1),),
        110_00,
        (20_00, 20_00, 0),
        {"Units": 40_00},
    ),
    example(
        "of equal prices, the lower product id",
        POOL,
        (BALL, replace(BALL, name="Other ball")),
        (units(1, 1),),
        10_00,
        (10_00, 0),
        {"Units": 10_00},
    ),
    example(
        "units that cost nothing are the cheapest",
        POOL,
        (BALL, replace(BALL, name="Free", price_minor=0)),
        (units(1, 1),),
        10_00,
        (0, 0),
        {},
    ),
    example(
        "free units that cost nothing block nothing",
        COMBINABLE,
        (BALL, replace(BALL, name="Free", price_minor=0)),
        (replace(units(1, 1), combinable=False), FIVE_OFF),
        5_00,
        (5_00, 0),
        {"Five off": 5_00},
    ),
    example(
        "the cheapest as an earlier one left them",
        POOL,
        (BALL, Item("Hat", 12_00)),
        (replace(percent(500_000, "Half hats"), products=("Hat",), priority=1), units(1, 1)),
        10_00,
        (0, 12_00),
        {"Half hats": 6_00, "Units": 6_00},
    ),
    example(
        "units of which an earlier one left uneven prices",
        POOL,
        (Item("Ball", 10_00, 3),),
        (replace(amount(1), priority=1), units(2, 1)),
        20_00,
        (10_00,),
        {"Amount": 1, "Units": 9_99},
    ),
    example(
        "a book for two balls",
        SCOPES,
        (replace(BALL, quantity=5), replace(BOOK, quantity=3)),
        (replace(units(2, 1), categories=("toys",), get_categories=("books",)),),
        70_00,
        (0, 40_00),
        {"Units": 40_00},
    ),
    example(
        "fewer books than earned",
        SCOPES,
        (replace(BALL, quantity=6), BOOK),
        (replace(units(2, 1), products=("Ball",), get_products=("Book",)),),
        60_00,
        (0, 20_00),
        {"Units": 20_00},
    ),
    example(
        "too few balls for a book",
        SCOPES,
        (BALL, BOOK),
        (replace(units(2, 1), products=("Ball",), get_products=("Book",)),),
        30_00,
        (0, 0),
        {},
    ),
    example(
        "a scope that is named twice is one pool",
        POOL,
        (BALL, BOOK),
        (replace(units(1, 1), products=("Ball", "Book"), get_products=("Ball", "Book")),),
        20_00,
        (10_00, 0),
        {"Units": 10_00},
    ),
    example(
        "a minimum of the units to buy",
        MINIMUM,
        (replace(BALL, quantity=2), BOOK),
        (replace(units(2, 1), products=("Ball",), get_products=("Book",), min_subtotal_minor=20_01),),
        40_00,
        (0, 0),
        {},
    ),
)
