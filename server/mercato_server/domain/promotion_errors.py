"""The refusals of calls about promotions and their codes."""

from enum import StrEnum

from mercato_server.domain.errors import Code, InvalidRequest, MercatoError, NotFound


class PromotionNotFound(NotFound):
    """No promotion has this id."""

    reason, resource_type, noun = "PROMOTION_NOT_FOUND", "mercato.v1.Promotion", "promotion"


class PromotionCodeNotFound(MercatoError):
    """The promotion has no such code."""

    code, reason, resource_type = Code.NOT_FOUND, "PROMOTION_CODE_NOT_FOUND", "mercato.v1.PromotionCode"

    def __init__(self, code: str) -> None:
        super().__init__("the promotion has no code {code!r}", resource=code, code=code)


class PromotionCodeTaken(MercatoError):
    """A promotion has a code with the same folded form."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "PROMOTION_CODE_TAKEN", "mercato.v1.PromotionCode"

    def __init__(self, code: str) -> None:
        super().__init__("the code {code!r} is taken, perhaps in another spelling", resource=code, code=code)


class PromotionState(MercatoError):
    """The promotion's current state does not allow the change."""

    code, reason = Code.FAILED_PRECONDITION, "PROMOTION_STATE"


class PromotionLimit(MercatoError):
    """The shop has as many promotions or codes as it may have, or the promotion as many codes."""

    code, reason = Code.FAILED_PRECONDITION, "PROMOTION_LIMIT"


class ScopeProductNotFound(InvalidRequest):
    """Products of a scope are not on sale."""

    code, reason, resource_type = Code.NOT_FOUND, "PRODUCT_NOT_FOUND", "mercato.v1.Product"


class ScopeCategoryNotFound(InvalidRequest):
    """Categories of a scope do not exist."""

    code, reason, resource_type = Code.NOT_FOUND, "CATEGORY_NOT_FOUND", "mercato.v1.Category"


class ScopeMethodNotFound(InvalidRequest):
    """Shipping methods of a promotion do not exist, or are archived."""

    code, reason, resource_type = Code.NOT_FOUND, "SHIPPING_METHOD_NOT_FOUND", "mercato.v1.ShippingMethod"


class PromotionInvalid(MercatoError):
    """A buyer's code gives nothing now. The error is the same for any cause, so that guesses learn nothing."""

    code, reason = Code.FAILED_PRECONDITION, "PROMOTION_INVALID"

    def __init__(self, code: str) -> None:
        super().__init__("the code {code!r} is not valid", code=code)


class TooManyGuesses(MercatoError):
    """The account has tried too many codes that cannot be used."""

    code, reason = Code.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS"
    security_event = "TOO_MANY_GUESSES"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many codes that cannot be used; wait before the next one")
        self.retry_after_s = retry_after_s


class UseLimit(StrEnum):
    """The limit that a use of a promotion would exceed."""

    PROMOTION = "promotion"
    CODE = "code"
    BUYER = "buyer"


class PromotionExhausted(MercatoError):
    """A buyer's code, or its promotion, has been used as often as it may be."""

    code, reason = Code.FAILED_PRECONDITION, "PROMOTION_EXHAUSTED"

    def __init__(self, code: str, limit: UseLimit) -> None:
        super().__init__("the code {code!r} has no uses left: the limit per {limit} is reached", code=code, limit=limit)
