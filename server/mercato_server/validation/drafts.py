"""Validation of products from calls and files."""

from dataclasses import replace

from mercato_server.domain import html_descriptions
from mercato_server.domain.catalog import (
    CATEGORY_POSITION_MAX,
    DESCRIPTION_MAX,
    IMAGE_URL_MAX,
    IMAGE_URLS_MAX,
    NAME_MAX,
    SKU_MAX,
    STOCK_MAX,
    WEIGHT_MAX_GRAMS,
    CategoryDraft,
    ProductDraft,
)
from mercato_server.domain.html_descriptions import DESCRIPTION_HTML_MAX, TAGS_MAX, UnstableHtmlError
from mercato_server.domain.slugs import SLUG_MAX, is_slug
from mercato_server.domain.taxes import TAX_CATEGORY_MAX
from mercato_server.validation.checks import Checks


def named(check: Checks, prefix: str, name: str) -> str:
    """Return the name of a product without surrounding white space."""
    return check.line(f"{prefix}name", name, shortest=1, longest=NAME_MAX)


def checked(check: Checks, prefix: str, draft: ProductDraft) -> ProductDraft:
    """Return a draft in the form that is stored, without checking name and price; violations name `prefix` and field.

    The HTML of the description is cleaned. Without a description in text, that of the HTML becomes the description; it is cut at a word.
    """
    description = check.text(f"{prefix}description", draft.description, longest=DESCRIPTION_MAX)
    description_html = html(check, f"{prefix}description_html", draft.description_html or "")
    return replace(
        draft,
        description=description or html_descriptions.shortened(html_descriptions.text_of(description_html), DESCRIPTION_MAX),
        description_html=description_html or None,
        sku=check.code(f"{prefix}sku", draft.sku or "", longest=SKU_MAX) or None,
        stock=None if draft.stock is None else check.between(f"{prefix}stock", draft.stock, 0, STOCK_MAX),
        image_urls=check.http_urls(f"{prefix}image_urls", draft.image_urls, most=IMAGE_URLS_MAX, longest=IMAGE_URL_MAX),
        tax_category=check.code(f"{prefix}tax_category", draft.tax_category or "", longest=TAX_CATEGORY_MAX) or None,
        weight_grams=check.between(f"{prefix}weight_grams", draft.weight_grams, 0, WEIGHT_MAX_GRAMS),
        slug=slug(check, f"{prefix}slug", draft.slug or ""),
    )


def checked_category(check: Checks, prefix: str, draft: CategoryDraft) -> CategoryDraft:
    """Return a draft in the form that is stored, without checking the name; violations name `prefix` and field."""
    return replace(
        draft,
        slug=slug(check, f"{prefix}slug", draft.slug or ""),
        position=check.between(f"{prefix}position", draft.position, 0, CATEGORY_POSITION_MAX),
        description=check.text(f"{prefix}description", draft.description, longest=DESCRIPTION_MAX),
    )


def slug(check: Checks, field: str, value: str) -> str | None:
    """Return a slug; None if the field is empty, so that the server makes or keeps one."""
    if value and not is_slug(value):
        check.fail(
            field,
            "must be 1 to {longest} small letters of a to z, digits and single hyphens between them, and no UUID or reserved word",
            longest=SLUG_MAX,
        )
    return value or None


def html(check: Checks, field: str, given: str) -> str:
    """Return the HTML of a description, cleaned."""
    if len(check.text(field, given, longest=DESCRIPTION_HTML_MAX)) > DESCRIPTION_HTML_MAX or "\0" in given:
        return ""
    if given.count("<") > TAGS_MAX:
        check.fail(field, "must have at most {most} tags", most=TAGS_MAX)
        return ""
    try:
        found = html_descriptions.cleaned(given)
    except UnstableHtmlError:
        check.fail(field, "is no HTML that browsers read in one way")
        return ""
    if len(found) > DESCRIPTION_HTML_MAX:
        check.fail(field, "must have at most {longest} characters once it is cleaned", longest=DESCRIPTION_HTML_MAX)
    return found
