"""The writable fields of the products in requests."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from mercato.v1 import catalog_pb2
from mercato_server.domain.catalog import ProductDraft
from mercato_server.domain.pictures import PICTURES_MAX
from mercato_server.domain.product_groups import Option
from mercato_server.handlers.picture_messages import split
from mercato_server.validation import drafts, product_groups
from mercato_server.validation.checks import Checks


def checked(
    check: Checks, prefix: str, product: catalog_pb2.Product, fields: Collection[str], currency: str, pictures_url: str
) -> ProductDraft:
    """Check the writable fields of a product.

    Those that are not in `fields` keep the defaults of the draft. Violations name `prefix` and field.
    """
    digests, external = split(product.image_urls, pictures_url)
    if len(digests) + len(external) > PICTURES_MAX:
        check.fail(f"{prefix}image_urls", "must have at most {most} entries", most=PICTURES_MAX)
    draft = ProductDraft(
        name=drafts.named(check, prefix, product.name) if "name" in fields else "",
        description=product.description,
        description_html=product.description_html if "description_html" in fields else None,
        category_id=check.optional_uuid(f"{prefix}category_id", product.category_id),
        sku=product.sku,
        stock=product.stock if product.HasField("stock") else None,
        image_urls=tuple(external[:PICTURES_MAX]),
        pictures=tuple(digests[:PICTURES_MAX]),
        tax_category=product.tax_category,
        needs_delivery=product.needs_delivery,
        weight_grams=product.weight_grams,
        slug=product.slug,
        group_id=check.optional_uuid(f"{prefix}group_id", product.group_id) if "group_id" in fields else None,
        options=product_groups.options(check, f"{prefix}options", [Option(each.name, each.value) for each in product.options]),
    )
    if "price" in fields and check.present(product, "price", f"{prefix}price"):
        draft = replace(draft, price_minor=check.money(f"{prefix}price", product.price, currency))
    return drafts.checked(check, prefix, draft)


def with_text(columns: Sequence[str], product: catalog_pb2.Product) -> Sequence[str]:
    """Return the columns that a change sets: a description in HTML without one in text sets both, as `drafts.checked` derives the text."""
    return [*columns, "description"] if "description_html" in columns and product.description_html and not product.description else columns
