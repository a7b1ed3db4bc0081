"""Random sales that often meet a boundary: small amounts, equal prices, thresholds at sums that occur, windows around the sale."""

import random

from support.price_examples.model import AS_GOODS, REDUCED, VAT, Address, Area, Item, Method, Offer, Rate, Sale, Tariff

MILLION = 1_000_000
PRICE_MAX, QUANTITY_MAX, LINES_MAX = 10**12, 1_000, 200
START, END, BEFORE_START, BEFORE_END = (
    *("2026-06-01T12:00:00Z", "2026-06-02T12:00:00Z"),
    *("2026-06-01T11:59:59.999999Z", "2026-06-02T11:59:59.999999Z"),
)
MOMENTS = (BEFORE_START, START, BEFORE_END, END)
WINDOWS = ((START, END), (START, ""), ("", END))
PPMS = (0, 50_000, 70_000, 105_000, 190_000, 200_000, 250_000, 333_333, 500_000, MILLION)
ADDRESSES = (Address("DE"), Address("DE", "BY", "80331"), Address("DE", "BY", "97070"), Address("DE", "BE", "10115"), Address("FR"))
CATEGORIES, KINDS = (VAT, VAT, REDUCED, ""), ("toys", "books", "")


class Dice:
    """Draws the parts of sales; equal seeds give equal sales."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 # tests repeat it

    def chance(self, percent: int) -> bool:
        """Return whether something happens that has a chance of so many percent."""
        return self.random.randrange(100) < percent

    def price(self) -> int:
        """Return a price: mostly a small one."""
        return self.random.choice((0, 1, 2, 3, 5, 10, 33, 99, 100, 1999, self.random.randrange(50), self.random.randrange(PRICE_MAX + 1)))

    def ppm(self) -> int:
        """Return a percentage: often a usual one."""
        return self.random.choice((*PPMS, self.random.randrange(MILLION + 1)))

    def threshold(self, items: tuple[Item, ...]) -> int:
        """Return an amount near the price of some of the items."""
        some = self.random.sample(items, self.random.randrange(len(items) + 1))
        return max(0, sum(item.price_minor * item.quantity for item in some) + self.random.choice((-1, 0, 0, 1)))

    def window(self, percent: int) -> tuple[str, str]:
        """Return a window, with a chance of so many percent that it has an end."""
        return self.random.choice(WINDOWS) if self.chance(percent) else ("", "")

    def items(self, count: int, quantity_max: int) -> tuple[Item, ...]:
        """Return items."""
        return tuple(
            Item(
                f"P{number}",
                self.price(),
                self.random.randint(1, quantity_max),
                self.random.choice(CATEGORIES),
                self.random.choice(KINDS),
                needs_delivery=self.chance(70),
                weight_grams=self.random.choice((0, 1, 250, 500)),
            )
            for number in range(count)
        )

    def names(self, items: tuple[Item, ...], percent: int) -> tuple[str, ...]:
        """Return the names of some items, or of none."""
        count = self.random.randint(1, 2) if self.chance(percent) else 0
        return tuple(sorted({item.name for item in self.random.choices(items, k=count)})) if items else ()

    def offers(self, items: tuple[Item, ...], kinds: tuple[str, ...]) -> tuple[Offer, ...]:
        """Return promotions."""
        return tuple(self.offer(f"O{number}", items, kinds) for number in range(self.random.randrange(5)))

    def offer(self, name: str, items: tuple[Item, ...], kinds: tuple[str, ...]) -> Offer:
        """Return a promotion."""
        starts_at, ends_at = self.window(20)
        return Offer(
            name,
            self.random.choice(kinds),
            self.ppm(),
            self.price(),
            self.random.randint(1, 3),
            self.random.randint(1, 3),
            self.names(items, 30),
            ("toys",) if self.chance(20) else (),
            self.names(items, 30),
            ("books",) if self.chance(20) else (),
            self.random.choice(((), (), ("Parcel",), ("Express",))),
            self.random.choice((None, None, 3, 4, 5)),
            self.threshold(items) if self.chance(50) else 0,
            starts_at,
            ends_at,
            self.random.randrange(3),
            combinable=self.chance(75),
        )

    def tariff(self, items: tuple[Item, ...], *areas: Area) -> Tariff:
        """Return a tariff."""
        basis = self.random.choice(("subtotal", "weight"))
        steps = {0, *(self.threshold(items) if basis == "subtotal" else self.random.choice((1, 250, 500, 1_000)) for _ in range(2))}
        if self.chance(15):
            steps = {step + 1 for step in steps}
        end = max(steps) + self.random.randint(1, 1_000) if self.chance(15) else None
        tiers = tuple((step, self.random.randrange(8)) for step in sorted(steps))
        return Tariff(areas, tiers, basis, end, self.threshold(items) if self.chance(30) else None)

    def methods(self, items: tuple[Item, ...]) -> tuple[Method, ...]:
        """Return a method with three zones."""
        areas = (Area("DE"),), (Area("DE", "BY"),), (Area("DE", postal_prefix="80"), Area("FR"))
        category = self.random.choice((AS_GOODS, AS_GOODS, VAT, REDUCED, ""))
        return (Method("Parcel", tuple(self.tariff(items, *each) for each in areas), category),)

    def rates(self) -> tuple[Rate, ...]:
        """Return the rates of two countries, mostly one for all categories too."""
        keys = {
            *((country, "", "") for country in ("DE", "FR") if self.chance(85)),
            *(("DE", self.random.choice(("", "BY")), self.random.choice((VAT, REDUCED, ""))) for _ in range(self.random.randrange(5))),
        }
        return tuple(
            Rate(country, self.ppm(), category, region, self.random.choice(("VAT", "Other")), (), *self.window(10))
            for country, region, category in sorted(keys)
        )

    def sale(self, items: tuple[Item, ...], offers: tuple[Offer, ...]) -> Sale:
        """Return a sale of items."""
        return Sale(
            items,
            prices_include_tax=self.chance(50),
            tax_rounding=self.random.choice(("line", "order")),
            country=self.random.choice(("", "DE", "FR")),
            rates=self.rates(),
            methods=self.methods(items) if self.chance(90) else (),
            chooses_method=self.chance(95),
            offers=offers,
            address=self.random.choice(ADDRESSES) if self.chance(90) else None,
            treatment=self.random.choice(("normal", "normal", "normal", "reverse_charge", "exempt")),
            at=self.random.choice(MOMENTS),
        )


def random_sale(seed: int) -> Sale:
    """Return the sale of a seed, with up to six items."""
    dice = Dice(seed)
    items = dice.items(dice.random.randrange(7), 5)
    return dice.sale(items, dice.offers(items, ("percent", "amount", "buy_x_get_y", "free_delivery")))


def large_sale(seed: int) -> Sale:
    """Return the sale of a seed, with up to as many lines and units as a cart may have.

    No promotion gives free units: the oracle would look at each of up to 200,000 units.
    """
    dice = Dice(seed)
    items = dice.items(dice.random.randint(50, LINES_MAX), QUANTITY_MAX)
    return dice.sale(items, dice.offers(items, ("percent", "amount", "free_delivery")))
