"""How each RPC that honours idempotency keys is called, and a world for it to be called in."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from mercato.v1.auth_pb2 import (
    ChangePasswordRequest,
    RequestEmailVerificationRequest,
    RequestPasswordResetRequest,
    ResetPasswordRequest,
    RevokeSessionRequest,
    SignUpRequest,
    VerifyEmailRequest,
)
from mercato.v1.cart_pb2 import AddCartItemRequest, ClearCartRequest, RemoveCartItemRequest, SetCartItemRequest
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    Category,
    CreateCategoryRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductRequest,
    Product,
    UndeleteProductRequest,
    UpdateCategoryRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import ORDER_STATUS_PAID, AdvanceOrderRequest, CancelOrderRequest, CheckoutRequest
from mercato.v1.user_pb2 import ROLE_ADMIN, UpdateMeRequest, UpdateUserRequest
from support.shop import PASSWORD, Person, Shop
from support.stage import METHODS
from support.tokens import issue

PRICE = 1999
NEW_PASSWORD = "another-secret-1"
ABSENT = "0198c5f2-7a3e-7c4d-9b1e-2f6a8d0c4b57"
REPLAYED = ("idempotent-replayed", "true")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class World:
    """What the requests of a test refer to. Each buyer has a ball and a bike in the cart; the orders are the first buyer's."""

    admin: Person
    boss: Person
    buyer: Person
    other: Person
    ball: str
    bike: str
    gone: tuple[str, str]
    categories: tuple[str, str]
    orders: tuple[str, str]
    sessions: tuple[str, str]
    neighbours_session: str
    resets: tuple[str, str]
    """One-time tokens of the buyer and the other one."""
    verifications: tuple[str, str]

    def person(self, role: str) -> Person | None:
        return getattr(self, role) if role else None


async def new_world(shop: Shop) -> World:
    """Sign people up, and make and order what they need."""
    admin, boss, buyer, other = [await shop.person(admin=admin) for admin in (True, True, False, False)]
    ball, bike, *gone = [await shop.product(admin, price=PRICE, stock=100) for _ in range(4)]
    for product in gone:
        await shop.catalog.DeleteProduct(DeleteProductRequest(product_id=product.id), metadata=admin.metadata)
    categories = [await shop.catalog.CreateCategory(CreateCategoryRequest(category=category()), metadata=admin.metadata) for _ in range(2)]
    orders = []
    for _ in range(2):
        await shop.add(buyer, ball)
        orders.append(await shop.checkout(buyer))
    for person, product in itertools.product((buyer, other), (ball, bike)):
        await shop.add(person, product)
    return World(
        admin,
        boss,
        buyer,
        other,
        ball.id,
        bike.id,
        (gone[0].id, gone[1].id),
        (categories[0].id, categories[1].id),
        (orders[0].id, orders[1].id),
        (await shop.session(buyer), await shop.session(buyer)),
        await shop.session(other),
        (await issue(shop.pool, buyer, "reset_password"), await issue(shop.pool, other, "reset_password")),
        (await issue(shop.pool, buyer, "verify_email"), await issue(shop.pool, other, "verify_email")),
    )


def category() -> Category:
    return Category(name=f"Category {next(_numbers)}")


def signup(email: str = "") -> SignUpRequest:
    return SignUpRequest(email=email or f"new-{next(_numbers)}@example.com", password=PASSWORD)


Make = Callable[[World], Message]


@dataclass(frozen=True)
class Case:
    """How an RPC is called. `other` is another request, which the neighbour can send too, and the caller after the first."""

    caller: str
    neighbour: str
    table: str
    """Where the call writes."""
    first: Make
    other: Make
    refused: Make | None = None
    """A request that is refused for what it asks for; None where there is none."""
    theirs: Make | None = None
    """What the neighbour sends, if it is not `other`."""


def as_admin(table: str, first: Make, other: Make, refused: Make) -> Case:
    return Case("admin", "boss", table, first, other, refused)


def as_buyer(table: str, first: Make, other: Make, refused: Make | None) -> Case:
    return Case("buyer", "other", table, first, other, refused)


def new_password(current: str, new: str) -> ChangePasswordRequest:
    return ChangePasswordRequest(current_password=current, new_password=new)


def as_nobody(table: str, first: Make, other: Make, refused: Make) -> Case:
    """Of a call without a login, whose keys are another scope than those of an administrator."""
    return Case("", "boss", table, first, other, refused, theirs=lambda _: UpdateMeRequest(full_name="Theirs"))


NO_TOKEN = "mot_" + "A" * 43

CASES = {
    "RequestPasswordReset": as_nobody(
        "mails",
        lambda world: RequestPasswordResetRequest(email=world.buyer.email),
        lambda world: RequestPasswordResetRequest(email=world.other.email),
        lambda _: RequestPasswordResetRequest(email="nobody"),
    ),
    "ResetPassword": as_nobody(
        "accounts",
        lambda world: ResetPasswordRequest(token=world.resets[0], new_password=NEW_PASSWORD),
        lambda world: ResetPasswordRequest(token=world.resets[1], new_password=NEW_PASSWORD),
        lambda _: ResetPasswordRequest(token=NO_TOKEN, new_password=NEW_PASSWORD),
    ),
    "VerifyEmail": as_nobody(
        "accounts",
        lambda world: VerifyEmailRequest(token=world.verifications[0]),
        lambda world: VerifyEmailRequest(token=world.verifications[1]),
        lambda _: VerifyEmailRequest(token=NO_TOKEN),
    ),
    "RequestEmailVerification": as_buyer(
        "mails", lambda _: RequestEmailVerificationRequest(), lambda _: UpdateMeRequest(full_name="Newer"), None
    ),
    "RevokeSession": Case(
        "buyer",
        "other",
        "sessions",
        lambda world: RevokeSessionRequest(session_id=world.sessions[0]),
        lambda world: RevokeSessionRequest(session_id=world.sessions[1]),
        lambda _: RevokeSessionRequest(session_id=ABSENT),
        lambda world: RevokeSessionRequest(session_id=world.neighbours_session),
    ),
    "ChangePassword": Case(
        "buyer",
        "other",
        "accounts",
        lambda _: new_password(PASSWORD, NEW_PASSWORD),
        lambda _: new_password(NEW_PASSWORD, PASSWORD),
        lambda _: new_password("wrong", NEW_PASSWORD),
        lambda _: new_password(PASSWORD, "another-secret-9"),
    ),
    "SignUp": Case(
        "",
        "buyer",
        "accounts",
        lambda _: signup(),
        lambda _: signup(),
        lambda world: signup(world.buyer.email),
        theirs=lambda _: UpdateMeRequest(full_name="Theirs"),
    ),
    "UpdateMe": as_buyer(
        "accounts",
        lambda _: UpdateMeRequest(full_name="New"),
        lambda _: UpdateMeRequest(full_name="Newer"),
        lambda _: UpdateMeRequest(full_name="x" * 201),
    ),
    "UpdateUser": as_admin(
        "accounts",
        lambda world: UpdateUserRequest(user_id=world.other.id, role=ROLE_ADMIN),
        lambda world: UpdateUserRequest(user_id=world.buyer.id, disabled=True),
        lambda _: UpdateUserRequest(user_id=ABSENT, disabled=True),
    ),
    "CreateProduct": as_admin(
        "products",
        lambda _: CreateProductRequest(product=Product(name="A", price=Money(minor_units=1), stock=3)),
        lambda _: CreateProductRequest(product=Product(name="B", price=Money(minor_units=1))),
        lambda _: CreateProductRequest(product=Product(name="A", price=Money(minor_units=1), category_id=ABSENT)),
    ),
    "UpdateProduct": as_admin(
        "products",
        lambda world: UpdateProductRequest(product=Product(id=world.ball, name="A", stock=7)),
        lambda world: UpdateProductRequest(product=Product(id=world.ball, name="B")),
        lambda world: UpdateProductRequest(product=Product(id=world.ball, name="A", etag="old")),
    ),
    "DeleteProduct": as_admin(
        "products",
        lambda world: DeleteProductRequest(product_id=world.ball),
        lambda world: DeleteProductRequest(product_id=world.bike),
        lambda world: DeleteProductRequest(product_id=world.gone[0]),
    ),
    "UndeleteProduct": as_admin(
        "products",
        lambda world: UndeleteProductRequest(product_id=world.gone[0]),
        lambda world: UndeleteProductRequest(product_id=world.gone[1]),
        lambda world: UndeleteProductRequest(product_id=world.ball),
    ),
    "AdjustStock": as_admin(
        "products",
        lambda world: AdjustStockRequest(product_id=world.ball, delta=1),
        lambda world: AdjustStockRequest(product_id=world.ball, delta=2),
        lambda world: AdjustStockRequest(product_id=world.ball, delta=-1000),
    ),
    "CreateCategory": as_admin(
        "categories",
        lambda _: CreateCategoryRequest(category=category()),
        lambda _: CreateCategoryRequest(category=category()),
        lambda _: CreateCategoryRequest(category=Category(name="")),
    ),
    "UpdateCategory": as_admin(
        "categories",
        lambda world: UpdateCategoryRequest(category=Category(id=world.categories[0], name=category().name)),
        lambda world: UpdateCategoryRequest(category=Category(id=world.categories[1], name=category().name)),
        lambda _: UpdateCategoryRequest(category=Category(id=ABSENT, name="x")),
    ),
    "DeleteCategory": as_admin(
        "categories",
        lambda world: DeleteCategoryRequest(category_id=world.categories[0]),
        lambda world: DeleteCategoryRequest(category_id=world.categories[1]),
        lambda _: DeleteCategoryRequest(category_id=ABSENT),
    ),
    "AddCartItem": as_buyer(
        "cart_items",
        lambda world: AddCartItemRequest(product_id=world.ball),
        lambda world: AddCartItemRequest(product_id=world.ball, quantity=2),
        lambda world: AddCartItemRequest(product_id=world.ball, quantity=1000),
    ),
    "SetCartItem": as_buyer(
        "cart_items",
        lambda world: SetCartItemRequest(product_id=world.ball, quantity=5),
        lambda world: SetCartItemRequest(product_id=world.ball, quantity=6),
        lambda world: SetCartItemRequest(product_id=world.gone[0], quantity=1),
    ),
    "RemoveCartItem": as_buyer(
        "cart_items",
        lambda world: RemoveCartItemRequest(product_id=world.ball),
        lambda world: RemoveCartItemRequest(product_id=world.bike),
        lambda _: RemoveCartItemRequest(product_id="ball"),
    ),
    "ClearCart": as_buyer("cart_items", lambda _: ClearCartRequest(), lambda world: RemoveCartItemRequest(product_id=world.ball), None),
    "Checkout": as_buyer(
        "cart_items",
        lambda _: CheckoutRequest(),
        lambda _: CheckoutRequest(expected_total=Money(minor_units=2 * PRICE)),
        lambda _: CheckoutRequest(expected_total=Money(minor_units=1)),
    ),
    "CancelOrder": Case(
        "buyer",
        "boss",
        "orders",
        lambda world: CancelOrderRequest(order_id=world.orders[0], reason="why not"),
        lambda world: CancelOrderRequest(order_id=world.orders[1]),
        lambda _: CancelOrderRequest(order_id=ABSENT),
    ),
    "AdvanceOrder": as_admin(
        "orders",
        lambda world: AdvanceOrderRequest(order_id=world.orders[0], status=ORDER_STATUS_PAID),
        lambda world: AdvanceOrderRequest(order_id=world.orders[1], status=ORDER_STATUS_PAID),
        lambda _: AdvanceOrderRequest(order_id=ABSENT, status=ORDER_STATUS_PAID),
    ),
}


@dataclass(frozen=True)
class Reply:
    """What a call was answered: the bytes, and whether they are said to be those of an earlier call."""

    raw: bytes
    replayed: bool


async def call(shop: Shop, request: Message, who: Person | None, key: str, *, timeout_s: float | None = None, **metadata: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in metadata.items()}
    method: Any = shop.channel.unary_unary(METHODS[request.DESCRIPTOR.full_name])
    sent = (*(who.metadata if who else ()), ("idempotency-key", key), *names.items())
    made = method(request.SerializeToString(), metadata=sent, timeout=timeout_s)
    raw = await made
    assert REPLAYED not in tuple(await made.trailing_metadata())
    return Reply(raw, REPLAYED in tuple(await made.initial_metadata()))
