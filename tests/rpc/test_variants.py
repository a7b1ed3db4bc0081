"""Products as variants of groups, through a real channel: their options, and what follows for their group."""

import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from grpc import StatusCode

from mercato.v1.cart_pb2 import GetCartRequest, UpdateCartHeaderRequest
from mercato.v1.catalog_pb2 import (
    DeleteProductRequest,
    GetProductRequest,
    Product,
    ProductOption,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import GetOrderRequest
from support.shop import Person, Shop, refusal

ADD_GROUP = """
INSERT INTO product_groups (code, name, varies_by, currency_code)
VALUES ($1, 'Shirt', $2, (SELECT currency_code FROM shop))
RETURNING id
"""

# The range of prices, the number of variants, and the representatives of a group.
GET_SUMMARY = """
SELECT min_price_minor, max_price_minor, variants,
       ARRAY(SELECT id::text FROM products WHERE group_id = product_groups.id AND is_listed AND deleted_at IS NULL) AS listed
  FROM product_groups
 WHERE id = $1
"""


def options(**values: str) -> list[ProductOption]:
    return [ProductOption(name=name, value=value) for name, value in values.items()]


async def group(shop: Shop, *varies_by: str) -> str:
    return str(await shop.pool.fetchval(ADD_GROUP, str(uuid.uuid4()), list(varies_by)))


async def variant(shop: Shop, admin: Person, group_id: str, price: int = 1000, /, **values: Any) -> Product:
    return await shop.product(admin, price=price, group_id=group_id, options=options(**values))


async def update(shop: Shop, admin: Person, product: Product, *mask: str) -> Product:
    request = UpdateProductRequest(product=product, update_mask=FieldMask(paths=mask))
    return await shop.catalog.UpdateProduct(request, metadata=admin.metadata)


async def delete(shop: Shop, admin: Person, product: Product) -> None:
    await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=product.id), metadata=admin.metadata)


async def undelete(shop: Shop, admin: Person, product: Product) -> None:
    await shop.catalog.UndeleteProduct(UndeleteProductRequest(product_id=product.id), metadata=admin.metadata)


async def summary(shop: Shop, group_id: str) -> tuple[int | None, int | None, int, list[str]]:
    row = await shop.pool.fetchrow(GET_SUMMARY, uuid.UUID(group_id))
    assert row is not None
    return tuple(row)


async def test_a_variant_has_its_options_in_the_order_and_spelling_of_its_group(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size", "Colour")
    made = await variant(shop, admin, shirt, COLOUR="Crème brûlée ", size=" M")
    found = await shop.catalog.GetProduct(GetProductRequest(product_id=made.id))
    assert found.group_id == shirt
    assert [(each.name, each.value) for each in found.options] == [("Size", "M"), ("Colour", "Crème brûlée")]


@pytest.mark.parametrize(
    "given",
    [{}, {"Size": "M"}, {"Size": "M", "Colour": "Red", "Fit": "Slim"}, {"Size": "M", "Cut": "Slim"}],
)
async def test_options_that_are_not_those_of_the_group_are_refused(shop: Shop, given: dict[str, str]) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size", "Colour")
    error = await refusal(variant(shop, admin, shirt, **given))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", ["product.options"])
    assert error.metadata["varies_by"] == "Size, Colour"


async def test_options_need_a_group_that_exists(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    error = await refusal(variant(shop, admin, "", Size="M"))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["product.options"])
    error = await refusal(variant(shop, admin, str(uuid.uuid4()), Size="M"))
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "GROUP_NOT_FOUND")


@pytest.mark.parametrize("same", ["red", " RED ", "Red"])
async def test_two_variants_on_sale_never_have_the_same_options(shop: Shop, same: str) -> None:
    admin = await shop.person(admin=True)
    shirt, other = await group(shop, "Colour"), await group(shop, "Colour")
    red = await variant(shop, admin, shirt, Colour="Red")
    error = await refusal(variant(shop, admin, shirt, Colour=same))
    assert (error.code, error.reason, error.metadata["product_id"]) == (StatusCode.ALREADY_EXISTS, "OPTIONS_TAKEN", red.id)
    await variant(shop, admin, other, Colour=same)
    await delete(shop, admin, red)
    again = await variant(shop, admin, shirt, Colour=same)
    error = await refusal(undelete(shop, admin, red))
    assert (error.reason, error.metadata["product_id"]) == ("OPTIONS_TAKEN", again.id)


async def test_canonically_equal_options_are_the_same(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Colour")
    await variant(shop, admin, shirt, Colour="Stra\u00dfe caf\u00e9")  # sharp s folds to ss (CaseFolding.txt), e acute is e with an accent
    assert (await refusal(variant(shop, admin, shirt, Colour="STRASSE CAFE\u0301"))).reason == "OPTIONS_TAKEN"


async def test_a_group_follows_its_variants(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size")
    assert await summary(shop, shirt) == (None, None, 0, [])
    small = await variant(shop, admin, shirt, 2000, Size="S")
    assert await summary(shop, shirt) == (2000, 2000, 1, [small.id])
    large = await variant(shop, admin, shirt, 2500, Size="L")
    equal = await variant(shop, admin, shirt, 2000, Size="M")
    assert await summary(shop, shirt) == (2000, 2500, 3, [small.id])
    await update(shop, admin, Product(id=large.id, price=Money(minor_units=1500)), "price")
    assert await summary(shop, shirt) == (1500, 2000, 3, [large.id])
    await delete(shop, admin, large)
    assert await summary(shop, shirt) == (2000, 2000, 2, [small.id])
    await undelete(shop, admin, large)
    assert await summary(shop, shirt) == (1500, 2000, 3, [large.id])
    await update(shop, admin, Product(id=large.id), "group_id")
    assert await summary(shop, shirt) == (2000, 2000, 2, [small.id])
    for each in (small, equal):
        await delete(shop, admin, each)
    assert await summary(shop, shirt) == (None, None, 0, [])


async def test_a_variant_may_move_to_another_group_and_leave_it(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt, jumper = await group(shop, "Size", "Colour"), await group(shop, "Colour", "Size")
    made = await variant(shop, admin, shirt, 700, Size="S", Colour="Red")
    moved = await update(shop, admin, Product(id=made.id, group_id=jumper), "group_id")
    assert (moved.group_id, [each.name for each in moved.options]) == (jumper, ["Colour", "Size"])
    assert (await summary(shop, shirt), await summary(shop, jumper)) == ((None, None, 0, []), (700, 700, 1, [made.id]))
    alone = await update(shop, admin, Product(id=made.id), "group_id")
    assert (alone.group_id, list(alone.options)) == ("", [])
    assert await shop.pool.fetchval("SELECT is_listed FROM products") is True
    assert await summary(shop, jumper) == (None, None, 0, [])


async def test_a_group_has_at_most_200_variants(shop: Shop) -> None:
    admin = await shop.person(admin=True)
    shirt = await group(shop, "Size")
    first = await variant(shop, admin, shirt, Size="0")
    await shop.pool.execute(
        """INSERT INTO products (name, description, price_minor, currency_code, image_urls, group_id, options, folded_options, options_text,
                                 is_listed)
           SELECT name, '', 1000, currency_code, '{}', group_id, format('[["Size", "%s"]]', size)::jsonb,
                  format('{"size": "%s"}', size)::jsonb, format('Size: %s', size), false
             FROM products, generate_series(1, 199) AS size""",
    )
    error = await refusal(variant(shop, admin, shirt, Size="200"))
    assert (error.code, error.reason, error.metadata["limit"]) == (StatusCode.FAILED_PRECONDITION, "GROUP_FULL", "200")
    await delete(shop, admin, first)
    await variant(shop, admin, shirt, Size="200")
    assert (await refusal(undelete(shop, admin, first))).reason == "GROUP_FULL"


async def test_carts_show_the_options_of_now_and_orders_those_of_the_sale(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    shirt = await group(shop, "Size", "Colour")
    made, ball = await variant(shop, admin, shirt, Size="M", Colour="Red"), await shop.product(admin)
    await shop.add(buyer, ball)
    cart = await shop.add(buyer, made)
    assert [line.options_text for line in cart.lines] == ["", "Size: M, Colour: Red"]
    await update(shop, admin, Product(id=made.id, options=options(Size="L", Colour="Red")), "options")
    cart = await shop.carts.GetCart(GetCartRequest(), metadata=buyer.metadata)
    assert [line.options_text for line in cart.lines] == ["", "Size: L, Colour: Red"]
    draft = await shop.checkout(buyer, validate_only=True)
    placed = await shop.checkout(buyer, "a-key")
    again = await shop.checkout(buyer, "a-key")
    await update(shop, admin, Product(id=made.id, options=options(Size="S", Colour="Red")), "options")
    kept = await shop.orders.GetOrder(GetOrderRequest(order_id=placed.id), metadata=buyer.metadata)
    for order in (draft, placed, again, kept):
        assert {line.product_id: line.options_text for line in order.lines} == {ball.id: "", made.id: "Size: L, Colour: Red"}


async def test_a_priced_order_keeps_the_options_too(shop: Shop) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    made = await variant(shop, admin, await group(shop, "Size"), Size="M")
    promotion = await shop.promotion(admin)
    await shop.code(admin, promotion, "SALE")
    await shop.add(buyer, made)
    await shop.carts.UpdateCartHeader(UpdateCartHeaderRequest(codes=["SALE"]), metadata=buyer.metadata)
    placed = await shop.checkout(buyer)
    assert placed.price.discounts
    kept = await shop.orders.GetOrder(GetOrderRequest(order_id=placed.id), metadata=buyer.metadata)
    assert [line.options_text for line in kept.lines] == ["Size: M"]
