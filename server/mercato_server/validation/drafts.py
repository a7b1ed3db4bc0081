"""Validation of products from calls and files."""

from dataclasses import replace

from mercato_server.domain.catalog import DESCRIPTION_MAX, IMAGE_URL_MAX, IMAGE_URLS_MAX, NAME_MAX, SKU_MAX, STOCK_MAX, ProductDraft
from mercato_server.validation.checks import Checks


def named(check: Checks, prefix: str, name: str) -> str:
    """Return the name of a product without surrounding white space."""
    return check.line(f"{prefix}name", name, shortest=1, longest=NAME_MAX)


def checked(check: Checks, prefix: str, draft: ProductDraft) -> ProductDraft:
    """Return a draft in the form that is stored, without checking name and price; violations name `prefix` and field."""
    return replace(
        draft,
        description=check.text(f"{prefix}description", draft.description, longest=DESCRIPTION_MAX),
        sku=check.code(f"{prefix}sku", draft.sku or "", longest=SKU_MAX) or None,
        stock=None if draft.stock is None else check.between(f"{prefix}stock", draft.stock, 0, STOCK_MAX),
        image_urls=check.http_urls(f"{prefix}image_urls", draft.image_urls, most=IMAGE_URLS_MAX, longest=IMAGE_URL_MAX),
    )
