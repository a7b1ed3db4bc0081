"""The refusals of purchases that cannot be priced as they stand."""

from enum import StrEnum
from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError
from mercato_server.domain.provided_taxes import TaxQuestion


class PricingError(MercatoError):
    """The purchase lacks something that its price depends on."""


class AddressRequired(PricingError):
    """Goods of the order need delivery, and the cart has no shipping address."""

    code, reason = Code.FAILED_PRECONDITION, "ADDRESS_REQUIRED"

    def __init__(self) -> None:
        super().__init__("goods of the cart need delivery; set the shipping address of the cart")


class ShippingMethodRequired(PricingError):
    """Goods of the order need delivery, and the cart has no shipping method."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_METHOD_REQUIRED"

    def __init__(self) -> None:
        super().__init__("goods of the cart need delivery; choose one of its shipping options")


class ShippingMethodUnavailable(PricingError):
    """The chosen method does not deliver these goods to this address."""

    code, reason = Code.FAILED_PRECONDITION, "SHIPPING_METHOD_UNAVAILABLE"

    def __init__(self, method_id: UUID) -> None:
        super().__init__(
            "the shipping method {shipping_method_id} does not deliver this cart to its address; choose another of its shipping options",
            shipping_method_id=str(method_id),
        )


class TaxRateMissing(PricingError):
    """The destination's country has tax rates, but none for a category of the goods or of their delivery."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_RATE_MISSING"

    def __init__(self, country_code: str, region: str, tax_category: str) -> None:
        super().__init__(
            "the shop has no tax rate of the category {tax_category!r} in {country_code}, region {region!r}",
            country_code=country_code,
            region=region,
            tax_category=tax_category,
        )


class QuoteRequired(PricingError):
    """A provider names the taxes of the shop, and has not been asked for those of this purchase."""

    code, reason = Code.FAILED_PRECONDITION, "QUOTE_REQUIRED"

    def __init__(self, question: TaxQuestion) -> None:
        super().__init__("the taxes of this shop are known with a quote only; ask for one, and check out with its id")
        self.question = question


class ProviderFailure(StrEnum):
    """How a provider of taxes has failed."""

    BUSY = "busy"
    """It has as many questions of this worker as it may have, and was not asked."""
    SLOW = "slow"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    """It answered with another status than 200."""
    UNUSABLE = "unusable"
    """Its answer breaks the contract."""


class TaxProviderUnavailable(MercatoError):
    """The provider of taxes did not give an answer that can be used. Nothing was quoted."""

    code, reason, retry_after_s = Code.UNAVAILABLE, "TAX_PROVIDER_UNAVAILABLE", 1.0

    def __init__(self, failure: ProviderFailure) -> None:
        super().__init__("the taxes of the cart cannot be had at the moment ({failure})", failure=failure)
