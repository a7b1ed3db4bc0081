"""The refusals of changes of groups of products and of their variants."""

from collections.abc import Sequence
from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError, NotFound
from mercato_server.domain.product_groups import VARIANTS_MAX


class GroupNotFound(NotFound):
    """No group of products has this id."""

    reason, resource_type, noun = "GROUP_NOT_FOUND", "mercato.v1.ProductGroup", "product group"


class GroupCodeTaken(MercatoError):
    """A group with this code exists."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "GROUP_CODE_TAKEN", "mercato.v1.ProductGroup"

    def __init__(self, group_code: str) -> None:
        super().__init__("a product group with the code {group_code!r} exists", resource=group_code, group_code=group_code)


class GroupInUse(MercatoError):
    """The group has variants on sale."""

    code, reason = Code.FAILED_PRECONDITION, "GROUP_IN_USE"

    def __init__(self, variants: int) -> None:
        super().__init__("the product group has {variants} variants on sale; delete or change them first", variants=variants)


class GroupFull(MercatoError):
    """The group would have more variants on sale than a group may have."""

    code, reason = Code.FAILED_PRECONDITION, "GROUP_FULL"

    def __init__(self) -> None:
        super().__init__("a product group may have {limit} variants on sale; delete one first", limit=VARIANTS_MAX)


class OptionsTaken(MercatoError):
    """A variant on sale of the group has these options."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "OPTIONS_TAKEN", "mercato.v1.Product"

    def __init__(self, options: str, product_id: UUID) -> None:
        super().__init__(
            "the product {product_id} of the group has the options {options}",
            resource=str(product_id),
            product_id=str(product_id),
            options=options,
        )


class OptionsOutdated(MercatoError):
    """The group of a deleted product varies by other options now."""

    code, reason = Code.FAILED_PRECONDITION, "OPTIONS_OUTDATED"

    def __init__(self, options: str, varies_by: Sequence[str]) -> None:
        super().__init__(
            "the product has the options {options}, and its group varies by {varies_by} now; create a new variant",
            options=options,
            varies_by=", ".join(varies_by),
        )
