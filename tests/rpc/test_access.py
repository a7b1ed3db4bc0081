"""Who may call what: every RPC by nobody, a user, another user and an administrator."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from grpc import StatusCode

from mercato.rpcs import rpcs
from mercato.v1 import policy_pb2
from mercato.v1.audit_pb2 import ListAuditLogRequest
from mercato.v1.auth_pb2 import (
    ChangePasswordRequest,
    GetJwksRequest,
    ListSessionsRequest,
    LoginFormRequest,
    LoginRequest,
    LogoutAllRequest,
    LogoutRequest,
    RefreshRequest,
    RequestEmailVerificationRequest,
    RequestPasswordResetRequest,
    ResetPasswordRequest,
    RevokeSessionRequest,
    SignUpRequest,
    VerifyEmailRequest,
)
from mercato.v1.cart_pb2 import AddCartItemRequest, ClearCartRequest, GetCartRequest, RemoveCartItemRequest, SetCartItemRequest
from mercato.v1.catalog_pb2 import (
    AdjustStockRequest,
    BatchGetProductsRequest,
    Category,
    CreateCategoryRequest,
    CreateProductRequest,
    DeleteCategoryRequest,
    DeleteProductRequest,
    GetCategoryRequest,
    GetProductRequest,
    ListCategoriesRequest,
    ListProductsRequest,
    Product,
    UndeleteProductRequest,
    UpdateCategoryRequest,
    UpdateProductRequest,
)
from mercato.v1.money_pb2 import Money
from mercato.v1.order_pb2 import (
    ORDER_STATUS_PAID,
    AdvanceOrderRequest,
    CancelOrderRequest,
    CheckoutRequest,
    GetOrderRequest,
    ListAllOrdersRequest,
    ListOrdersRequest,
)
from mercato.v1.user_pb2 import GetAdminOnlyRequest, GetMeRequest, GetUserRequest, ListUsersRequest, UpdateMeRequest, UpdateUserRequest
from mercato_server.database.pool import small_pool
from mercato_server.embedded.postgres import Postgres
from support.databases import copied
from support.shop import PASSWORD, Person, Shop, settings_of, worker
from support.tokens import issue

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY, OTHER, OWNER, ADMIN = "nobody", "another user", "the owner", "an administrator"
EVERYBODY = {NOBODY, OTHER, OWNER, ADMIN}
PEOPLE = {OTHER, OWNER, ADMIN}


@dataclass(frozen=True)
class World:
    """What the requests of the table refer to; the order belongs to `the owner`."""

    people: dict[str, Person]
    category_id: str
    product_id: str
    order_id: str
    tokens: dict[str, str]
    """One-time tokens of the owner by purpose."""


def request(world: World, name: str) -> Message:
    """Return a request of an RPC that is refused for nothing but who sends it."""
    product, category, order = world.product_id, world.category_id, world.order_id
    requests: dict[str, Message] = {
        "SignUp": SignUpRequest(email=f"{uuid.uuid4()}@example.com", password=PASSWORD),
        "Login": LoginRequest(email=world.people[OWNER].email, password=PASSWORD),
        "LoginForm": LoginFormRequest(
            form={"content_type": "application/json", "data": f'{{"email":"{world.people[OWNER].email}","password":"{PASSWORD}"}}'.encode()}
        ),
        "Refresh": RefreshRequest(refresh_token=world.people[OWNER].refresh_token),
        "GetJwks": GetJwksRequest(),
        "RequestPasswordReset": RequestPasswordResetRequest(email=world.people[OWNER].email),
        "ResetPassword": ResetPasswordRequest(token=world.tokens["reset_password"], new_password="another-secret-1"),
        "RequestEmailVerification": RequestEmailVerificationRequest(),
        "VerifyEmail": VerifyEmailRequest(token=world.tokens["verify_email"]),
        "Logout": LogoutRequest(),
        "LogoutAll": LogoutAllRequest(),
        "ListSessions": ListSessionsRequest(),
        "RevokeSession": RevokeSessionRequest(session_id=world.people[OWNER].session_id),
        "ChangePassword": ChangePasswordRequest(current_password=PASSWORD, new_password="another-secret-1"),
        "GetMe": GetMeRequest(),
        "UpdateMe": UpdateMeRequest(full_name="New"),
        "GetAdminOnly": GetAdminOnlyRequest(),
        "ListUsers": ListUsersRequest(),
        "GetUser": GetUserRequest(user_id=world.people[OWNER].id),
        "UpdateUser": UpdateUserRequest(user_id=world.people[OWNER].id, disabled=True),
        "ListAuditLog": ListAuditLogRequest(),
        "ListProducts": ListProductsRequest(),
        "GetProduct": GetProductRequest(product_id=product),
        "BatchGetProducts": BatchGetProductsRequest(ids=[product]),
        "CreateProduct": CreateProductRequest(product=Product(name="x", price=Money(minor_units=1))),
        "UpdateProduct": UpdateProductRequest(product=Product(id=product, name="x")),
        "DeleteProduct": DeleteProductRequest(product_id=product),
        "UndeleteProduct": UndeleteProductRequest(product_id=product),
        "AdjustStock": AdjustStockRequest(product_id=product, delta=1),
        "ListCategories": ListCategoriesRequest(),
        "GetCategory": GetCategoryRequest(category_id=category),
        "CreateCategory": CreateCategoryRequest(category=Category(name=str(uuid.uuid4()))),
        "UpdateCategory": UpdateCategoryRequest(category=Category(id=category, name=str(uuid.uuid4()))),
        "DeleteCategory": DeleteCategoryRequest(category_id=category),
        "GetCart": GetCartRequest(),
        "AddCartItem": AddCartItemRequest(product_id=product),
        "SetCartItem": SetCartItemRequest(product_id=product, quantity=1),
        "RemoveCartItem": RemoveCartItemRequest(product_id=product),
        "ClearCart": ClearCartRequest(),
        "Checkout": CheckoutRequest(),
        "ListOrders": ListOrdersRequest(),
        "GetOrder": GetOrderRequest(order_id=order),
        "CancelOrder": CancelOrderRequest(order_id=order),
        "ListAllOrders": ListAllOrdersRequest(),
        "AdvanceOrder": AdvanceOrderRequest(order_id=order, status=ORDER_STATUS_PAID),
    }
    return requests[name]


# Who gets an answer that is not a refusal for who they are, by the RPC's policy; the two that ask for the owner are named.
ALLOWED = {policy_pb2.ACCESS_ANYONE: EVERYBODY, policy_pb2.ACCESS_USER: PEOPLE, policy_pb2.ACCESS_ADMIN: {ADMIN}}
OWNED = {"GetOrder": {OWNER, ADMIN}, "CancelOrder": {OWNER, ADMIN}, "RevokeSession": {OWNER}}
PUBLIC = {
    "SignUp", "Login", "LoginForm", "Refresh", "GetJwks", "ListProducts", "GetProduct", "BatchGetProducts", "ListCategories", "GetCategory",
    "RequestPasswordReset", "ResetPassword", "VerifyEmail",
}  # fmt: skip
FOR_ADMINS = {
    "GetAdminOnly", "CreateProduct", "UpdateProduct", "DeleteProduct", "UndeleteProduct", "AdjustStock", "CreateCategory", "UpdateCategory",
    "DeleteCategory", "ListAllOrders", "AdvanceOrder", "ListUsers", "GetUser", "UpdateUser", "ListAuditLog",
}  # fmt: skip
RPCS = rpcs()
END_SESSION = "UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE id = $1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(postgres: Postgres) -> AsyncIterator[Shop]:
    """One worker for all tests here: each test has people and goods of its own."""
    async with copied(postgres) as database, small_pool(database) as pool, worker(settings_of(database), pool) as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="module")
async def world(shop: Shop) -> World:
    admin, owner, other = await shop.person(admin=True), await shop.person(), await shop.person()
    category = await shop.catalog.CreateCategory(CreateCategoryRequest(category=Category(name=str(uuid.uuid4()))), metadata=admin.metadata)
    product = await shop.product(admin, stock=100)
    await shop.add(owner, product)
    order = await shop.checkout(owner)
    for person in (admin, owner, other):
        await shop.add(person, product)
    tokens = {purpose: await issue(shop.pool, owner, purpose) for purpose in ("reset_password", "verify_email")}
    return World({ADMIN: admin, OWNER: owner, OTHER: other}, category.id, product.id, order.id, tokens)


async def code(shop: Shop, rpc: Any, message: Message, who: Person | None) -> StatusCode:
    call: Any = shop.channel.unary_unary(rpc.path, request_serializer=lambda sent: sent.SerializeToString(), response_deserializer=None)
    try:
        await call(message, metadata=who.metadata if who else ())
    except grpc.aio.AioRpcError as error:
        return error.code()
    return StatusCode.OK


async def test_the_policies_are_those_that_were_decided() -> None:
    by_access: dict[int, set[str]] = {}
    for rpc in RPCS:
        by_access.setdefault(rpc.policy.access, set()).add(rpc.name)
    assert by_access[policy_pb2.ACCESS_ANYONE] == PUBLIC
    assert by_access[policy_pb2.ACCESS_ADMIN] == FOR_ADMINS


async def test_no_rpc_serves_a_session_that_has_ended(shop: Shop, world: World) -> None:
    """Reads of sessions that a worker does not know yet ask the database as all others do."""
    served = []
    for rpc in RPCS:
        if rpc.policy.access != policy_pb2.ACCESS_ANYONE:
            person = await shop.person(admin=True)
            await shop.pool.execute(END_SESSION, uuid.UUID(person.session_id))
            if await code(shop, rpc, request(world, rpc.name), person) is not StatusCode.UNAUTHENTICATED:
                served.append(rpc.name)
    assert served == []


@pytest.mark.parametrize("who", [NOBODY, OTHER, OWNER, ADMIN])
@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_an_rpc_answers_those_it_is_for(shop: Shop, world: World, rpc: Any, who: str) -> None:
    if rpc.name == "UndeleteProduct":
        await shop.pool.execute("UPDATE products SET deleted_at = now() WHERE id = $1", uuid.UUID(world.product_id))
    answered = await code(shop, rpc, request(world, rpc.name), world.people.get(who))
    if who in OWNED.get(rpc.name, ALLOWED[rpc.policy.access]):
        assert answered is StatusCode.OK
    elif who == NOBODY:
        assert answered is StatusCode.UNAUTHENTICATED
    else:
        assert answered is (StatusCode.NOT_FOUND if rpc.name in OWNED else StatusCode.PERMISSION_DENIED)
