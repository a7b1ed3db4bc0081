"""The refusals of the category tree and of slugs."""

from uuid import UUID

from mercato_server.domain.errors import Code, MercatoError
from mercato_server.domain.slugs import SlugKind


class SlugTaken(MercatoError):
    """Another category, or another product on sale, has this slug."""

    code, reason, resource_type = Code.ALREADY_EXISTS, "SLUG_TAKEN", "mercato.v1.Slug"

    def __init__(self, kind: SlugKind, slug: str) -> None:
        super().__init__("another {kind} has the slug {slug!r}", resource=slug, kind=kind.value, slug=slug)


class SlugNotFound(MercatoError):
    """No category or product has or had this slug."""

    code, reason, resource_type = Code.NOT_FOUND, "SLUG_NOT_FOUND", "mercato.v1.Slug"

    def __init__(self, kind: SlugKind, slug: str) -> None:
        super().__init__("no {kind} has the slug {slug!r}", resource=slug, kind=kind.value, slug=slug)


class CategoryCycle(MercatoError):
    """A category cannot be moved below itself."""

    code, reason = Code.FAILED_PRECONDITION, "CATEGORY_CYCLE"

    def __init__(self, category_id: UUID, parent_id: UUID) -> None:
        super().__init__(
            "category {parent_id} is category {category_id} itself or is below it", category_id=str(category_id), parent_id=str(parent_id)
        )


class CategoryLimit(MercatoError):
    """The tree would be too deep or too wide, or too many products would move at once."""

    code, reason = Code.FAILED_PRECONDITION, "CATEGORY_LIMIT"
