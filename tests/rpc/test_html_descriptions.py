"""The description of a product in HTML, through a real channel."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.catalog_pb2 import (
    GetProductRequest,
    ListProductsRequest,
    Product,
    ProductGroup,
    ProductOption,
    UpdateProductRequest,
    UpsertProductGroupRequest,
)
from mercato.v1.money_pb2 import Money
from support.shop import Person, Shop, refusal

HTML = "<p>Round<script>alert(1)</script> <b>ball</b></p><p onclick='x()'>New</p>"
KEPT = "<p>Round <b>ball</b></p><p>New</p>"
TEXT = "Round ball\n\nNew"


async def update(shop: Shop, admin: Person, product: Product, *mask: str) -> Product:
    request = UpdateProductRequest(product=product, update_mask=FieldMask(paths=mask))
    return await shop.catalog.UpdateProduct(request, metadata=admin.metadata)


async def test_html_is_cleaned_and_its_text_becomes_the_description(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await shop.product(admin, description_html=HTML)
    assert (made.description, made.description_html) == (TEXT, KEPT)
    assert await shop.catalog.GetProduct(GetProductRequest(product_id=made.id)) == made
    listed = await shop.catalog.ListProducts(ListProductsRequest(q="round"))
    assert [product.description_html for product in listed.products] == [KEPT]


async def test_a_description_in_text_stays_beside_html(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await shop.product(admin, description_html=HTML, description="A ball.")
    assert (made.description, made.description_html) == ("A ball.", KEPT)
    changed = await update(shop, admin, Product(id=made.id, description="A round ball."), "description")
    assert (changed.description, changed.description_html) == ("A round ball.", KEPT)
    renamed = await update(shop, admin, Product(id=made.id, name="Ball", description_html="<i>ignored</i>"), "name")
    assert (renamed.description, renamed.description_html) == ("A round ball.", KEPT)


async def test_a_change_of_the_html_alone_renews_the_text(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await shop.product(admin, description="Old.")
    changed = await update(shop, admin, Product(id=made.id, description_html=HTML), "description_html")
    assert (changed.description, changed.description_html) == (TEXT, KEPT)
    populated = await update(shop, admin, Product(id=made.id, description_html="<p>Newer</p>"))
    assert (populated.description, populated.description_html) == ("Newer", "<p>Newer</p>")
    removed = await update(shop, admin, Product(id=made.id), "description_html")
    assert (removed.description, removed.description_html) == ("Newer", "")


async def test_a_removed_text_is_renewed_from_the_html_that_stays(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await shop.product(admin, description_html=HTML, description="A ball.")
    changed = await update(shop, admin, Product(id=made.id), "description")
    assert (changed.description, changed.description_html) == (TEXT, KEPT)
    plain = await update(shop, admin, Product(id=(await shop.product(admin, description="A ball.")).id), "description")
    assert plain.description == ""


async def test_a_long_text_of_html_is_cut_at_a_word(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    made = await shop.product(admin, description_html="<p>" + "word " * 3_000 + "</p>")
    assert made.description == ("word " * 2_000).strip()
    assert len(made.description_html) > 14_000


async def test_variants_of_an_upsert_have_html_too(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    size = [ProductOption(name="Size", value="M")]
    variant = Product(name="Shirt", price=Money(minor_units=5), options=size, description_html=HTML)
    request = UpsertProductGroupRequest(group=ProductGroup(name="Shirt", code="S", varies_by=["Size"]), variants=[variant])
    for html, kept, version in ((HTML, KEPT, "1."), (HTML, KEPT, "1."), ("<p>Newer</p>", "<p>Newer</p>", "2.")):
        request.variants[0].description_html = html
        group = await shop.catalog.UpsertProductGroup(request, metadata=admin.metadata)
        found = await shop.catalog.GetProduct(GetProductRequest(product_id=group.variants[0].product_id))
        assert (found.description_html, found.etag[:2]) == (kept, version)


@pytest.mark.parametrize(
    "html", ["x" * 50_001, "<b>" * 5_001, "&" * 20_000, "a\0b"], ids=["characters", "tags", "characters once cleaned", "NUL"]
)
async def test_html_beyond_its_bounds_is_refused(shop: Shop, html: str) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(shop.product(admin, description_html=html))
    assert error.code is StatusCode.INVALID_ARGUMENT
    assert set(error.fields) == {"product.description_html"}
