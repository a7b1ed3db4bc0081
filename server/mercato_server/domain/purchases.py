"""The choices of a buyer besides the lines of the cart, and the price of the cart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from mercato_server.domain.carts import CartLine
from mercato_server.domain.errors import MercatoError
from mercato_server.domain.postal_addresses import PostalAddress
from mercato_server.domain.pricing import Breakdown, PriceRules, Purchase, price
from mercato_server.domain.promotion_errors import PromotionExhausted, PromotionInvalid
from mercato_server.domain.promotions import Promotion
from mercato_server.domain.provided_taxes import ProvidedTaxes
from mercato_server.domain.redemptions import NO_USES, CodeUses, UsesLeft
from mercato_server.domain.shipping import Destination
from mercato_server.domain.taxes import TaxTreatment

CODES_MAX = 10
CODE_MAX = 64
NOTE_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CartHeader:
    """Where a cart goes, how, and with which codes."""

    shipping_address: PostalAddress | None = None
    billing_address: PostalAddress | None = None
    shipping_method_id: UUID | None = None
    codes: tuple[str, ...] = ()
    """In their folded form."""
    contact_email: str | None = None
    """None stands for the address of the account."""
    note: str = ""
    version: int = 0
    """The number of writes to the header."""

    @property
    def etag(self) -> str:
        """The etag, which every change of the header changes."""
        return f"{self.version:x}"

    @property
    def destination(self) -> Destination | None:
        """Where the goods go, and where the sale is taxed."""
        address = self.shipping_address
        return Destination(address.country_code, address.region, address.postal_code) if address else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The choices of a buyer besides products, and facts about the buyer that change the price."""

    header: CartHeader = field(default_factory=CartHeader)
    treatment: TaxTreatment = TaxTreatment.NORMAL
    codes: Mapping[str, CodeUses] = field(default_factory=dict)
    """The codes of the header that the shop knows."""
    subjects: tuple[str, ...] = ()
    """Under which the uses of promotions by this buyer are counted."""
    provided: ProvidedTaxes | None = None
    """The taxes that a provider has named for a quote."""


NO_CHOICES = Choices()


class Offered(NamedTuple):
    """The promotions that may apply to a purchase, and why a code of the cart cannot be used."""

    promotions: Sequence[Promotion]
    refusal: MercatoError | None


NO_OFFER = Offered((), None)


class PricedCart(NamedTuple):
    """A cart with its header, and what it costs."""

    lines: tuple[CartLine, ...]
    choices: Choices
    price: Breakdown


EMPTY_CART = PricedCart((), NO_CHOICES, Breakdown((), 0))


class ShippingOption(NamedTuple):
    """A way of delivery of a cart, and what the cart costs with it."""

    method_id: UUID
    price: Breakdown


class PriceTerms(NamedTuple):
    """All that a price depends on besides the buyer."""

    rules: PriceRules
    at: datetime
    uses: UsesLeft = NO_USES
    """The uses of promotions that are left."""

    def price(self, lines: Sequence[CartLine], choices: Choices) -> Breakdown:
        """Return what a cart costs. Lines of products that are no longer on sale do not count."""
        offer = self.offered(choices) if self.rules.promotions or choices.header.codes else NO_OFFER
        header = choices.header
        on_sale = [line for line in lines if line.on_sale]
        wanted = Purchase(on_sale, header.destination, header.shipping_method_id, offer.promotions, choices.treatment, choices.provided)
        found = price(wanted, self.rules, self.at)
        return found._replace(missing=offer.refusal) if offer.refusal else found

    def cart(self, lines: tuple[CartLine, ...], choices: Choices) -> PricedCart:
        """Return a cart with its price."""
        return PricedCart(lines, choices, self.price(lines, choices))

    def shipping_options(self, cart: PricedCart) -> list[ShippingOption]:
        """Return the ways of delivery of a cart, in the shop's order; none without an address or goods to deliver."""
        options = []
        for method_id in self.rules.shipping.methods:
            header = replace(cart.choices.header, shipping_method_id=method_id)
            option = ShippingOption(method_id, self.price(cart.lines, replace(cart.choices, header=header)))
            if option.price.delivery:
                options.append(option)
        return options

    def offered(self, choices: Choices) -> Offered:
        """Return the promotions that a buyer may use."""
        rules, at, uses = self
        found = {each.id: each for each in rules.automatic if each.is_open(at) and uses.may(each, None, choices.subjects)}
        refusal: MercatoError | None = None
        for code in choices.header.codes:
            entered = choices.codes.get(code)
            named = rules.promotions.get(entered.promotion_id) if entered else None
            if named is None or not named.is_open(at):
                refusal = refusal or PromotionInvalid(code)
            elif limit := uses.exhausted(named, code, choices.subjects):
                refusal = refusal or PromotionExhausted(code, limit)
            else:
                found[named.id] = named
        return Offered(tuple(found.values()), refusal)


class PromotionUse(NamedTuple):
    """A promotion that applies to a purchase: the code, and the amount that it takes off."""

    promotion: Promotion
    folded_code: str | None
    amount_minor: int


def promotion_uses(price: Breakdown, choices: Choices, rules: PriceRules) -> list[PromotionUse]:
    """Return the uses of promotions by a purchase; of several codes for one promotion the first is used."""
    if not price.discounts:
        return []
    codes = {choices.codes[code].promotion_id: code for code in reversed(choices.header.codes) if code in choices.codes}
    return [PromotionUse(rules.promotions[id_], codes.get(id_), given.amount_minor) for id_, given in price.by_promotion().items()]
