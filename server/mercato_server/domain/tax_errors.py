"""The refusals of changes of tax categories and tax rates."""

from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError, NotFound


class TaxRateNotFound(NotFound):
    """No tax rate has this id."""

    reason, resource_type, noun = "TAX_RATE_NOT_FOUND", "mercato.v1.TaxRate", "tax rate"


class TaxRateOverlaps(MercatoError):
    """A live rate of the same country, region and category is valid at the same time."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "TAX_RATE_OVERLAPS", "mercato.v1.TaxRate"

    def __init__(self, rate_id: UUID) -> None:
        super().__init__(
            "the tax rate {tax_rate_id} of the same country, region and category is valid at the same time; end it first",
            resource=str(rate_id),
            tax_rate_id=str(rate_id),
        )


class TaxRateBegun(MercatoError):
    """The rate has been valid, so its beginning cannot be moved."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_RATE_BEGUN"

    def __init__(self) -> None:
        super().__init__("the tax rate has been valid already, so its valid_from cannot be changed; archive it and create another")


class TaxRateArchived(MercatoError):
    """The rate is archived, and never changes again."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_RATE_ARCHIVED"

    def __init__(self) -> None:
        super().__init__("the tax rate is archived; create another")


class TaxRateLimit(MercatoError):
    """The shop has as many live rates as it may have."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_RATE_LIMIT"

    def __init__(self, rates_max: int) -> None:
        super().__init__("a shop may have {limit} tax rates; archive some that have ended", limit=rates_max)


class TaxCategoryNotFound(MercatoError):
    """No tax category has this id."""

    code, reason, resource_type = Code.NOT_FOUND, "TAX_CATEGORY_NOT_FOUND", "mercato.v1.TaxCategory"

    def __init__(self, category: str) -> None:
        super().__init__("tax category {tax_category_id} does not exist", resource=category, tax_category_id=category)


class TaxCategoryTaken(MercatoError):
    """A live tax category has this id."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "TAX_CATEGORY_TAKEN", "mercato.v1.TaxCategory"

    def __init__(self, category: str) -> None:
        super().__init__("a tax category {tax_category_id} exists", resource=category, tax_category_id=category)


class TaxCategoryArchived(MercatoError):
    """The category is archived: it cannot be changed or used."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_CATEGORY_ARCHIVED"

    def __init__(self, category: str) -> None:
        super().__init__("tax category {tax_category_id} is archived; create it again to bring it back", tax_category_id=category)


class TaxCategoryInUse(MercatoError):
    """Live tax rates, live shipping methods or products on sale have the category."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_CATEGORY_IN_USE"

    def __init__(self, category: str) -> None:
        super().__init__(
            "tax rates, shipping methods or products have the category {tax_category_id}; archive or change them first",
            tax_category_id=category,
        )


class TaxCategoryLimit(MercatoError):
    """The shop has as many live tax categories as it may have."""

    code, reason = Code.FAILED_PRECONDITION, "TAX_CATEGORY_LIMIT"

    def __init__(self, categories_max: int) -> None:
        super().__init__("a shop may have {limit} tax categories; archive some that are not used", limit=categories_max)
