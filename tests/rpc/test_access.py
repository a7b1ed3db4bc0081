"""Access of each RPC for an anonymous caller, a user, another user and an administrator."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from grpc import StatusCode

from mercato.rpcs import Rpc, rpcs
from mercato.v1 import policy_pb2
from mercato.v1.catalog_pb2 import Product
from mercato.v1.user_pb2 import GetMeRequest
from mercato_server.config.settings import GuestRules, Settings
from mercato_server.database.pool import small_pool
from mercato_server.embedded.postgres import Postgres
from support.databases import copied
from support.example_requests import EVERYTHING, EXAMPLE_REQUESTS, ShopSubjects, Watched, make_subjects
from support.shop import CALL_S, Person, Shop, settings_of, worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANONYMOUS, GUEST, OTHER, OWNER, ADMIN = "anonymous", "a guest", "another user", "the owner", "an administrator"
ALL_CALLERS = {ANONYMOUS, GUEST, OTHER, OWNER, ADMIN}
PEOPLE = {OTHER, OWNER, ADMIN}


@dataclass(frozen=True)
class World:
    """Callers, and the subjects of their requests; the order and the session belong to `the owner`."""

    people: dict[str, Person]
    subjects: ShopSubjects

    def request(self, rpc: Rpc) -> Message:
        """Return a valid request, which can be refused only because of its caller."""
        return EXAMPLE_REQUESTS[rpc.name](self.subjects)


# The callers that each policy allows; RPCs about an owner's subject are listed by name.
ALLOWED = {
    policy_pb2.ACCESS_ANYONE: ALL_CALLERS,
    policy_pb2.ACCESS_BUYER: PEOPLE | {GUEST},
    policy_pb2.ACCESS_USER: PEOPLE,
    policy_pb2.ACCESS_ADMIN: {ADMIN},
}
OWNED = {
    "GetOrder": {OWNER, ADMIN},
    "CancelOrder": {OWNER, ADMIN},
    "GetPayment": {OWNER, ADMIN},
    "ListPayments": {OWNER, ADMIN},
    "ListRefunds": {OWNER, ADMIN},
    "ListShipments": {OWNER, ADMIN},
    "GetShipment": {OWNER, ADMIN},
    "ListReturns": {OWNER, ADMIN},
    "RevokeSession": {OWNER},
    "GetAddress": {OWNER},
    "UpdateAddress": {OWNER},
    "DeleteAddress": {OWNER},
}
BY_METHOD = {"CreatePayment": {ADMIN}}
"""RPCs for users whose example only administrators may send: it records cash."""
UNSIGNED = {"HandlePaymentEvent"}
"""RPCs whose example all callers may send, and which refuse it: it has no signature."""
PUBLIC = {
    "SignUp", "Login", "LoginForm", "Refresh", "GetJwks", "ListProducts", "GetProduct", "BatchGetProducts", "ListCategories", "GetCategory",
    "ListProductGroups", "GetProductGroup", "GetSlug",
    "RequestPasswordReset", "ResetPassword", "VerifyEmail", "GetShop", "HandlePaymentEvent", "GetPicture", "CreateGuest", "GetLinkedOrder",
}  # fmt: skip
FOR_USERS = {"UpdateMe", "LogoutAll", "ListSessions", "RevokeSession", "ChangePassword"}
FOR_ADMINS = {
    "GetAdminOnly", "CreateProduct", "UpdateProduct", "DeleteProduct", "UndeleteProduct", "AdjustStock", "CreateCategory", "UpdateCategory",
    "CreateProductGroup", "UpdateProductGroup", "DeleteProductGroup", "UpsertProductGroup",
    "DeleteCategory", "ListAllOrders", "AdvanceOrder", "CreateOrderNote", "ListOrderNotes",
    "CapturePayment", "CancelPayment", "CreateRefund", "ListAllPayments", "ListAllRefunds", "ListDisputes", "ListPaymentRequests",
    "ListPaymentEvents", "ResolvePaymentEvent",
    "CreateShipment", "ShipShipment", "DeliverShipment", "CancelShipment", "CreateReturn", "CancelOrderItems",
    "ListUsers", "GetUser", "UpdateUser", "ListAuditLog",
    "ListShippingZones", "GetShippingZone", "CreateShippingZone", "UpdateShippingZone", "ArchiveShippingZone",
    "ListShippingMethods", "GetShippingMethod", "CreateShippingMethod", "UpdateShippingMethod", "ArchiveShippingMethod",
    "ListPromotions",
    "GetPromotion", "CreatePromotion", "UpdatePromotion", "ArchivePromotion", "ListPromotionCodes", "CreatePromotionCode",
    "GeneratePromotionCodes", "ArchivePromotionCode",
    "UpdateShop",
    "CreatePictureUpload", "UploadPictureContent", "CompletePictureUpload", "GetPictureUpload", "SetProductPictures",
    "ListTaxCategories", "GetTaxCategory", "CreateTaxCategory", "UpdateTaxCategory", "ArchiveTaxCategory",
    "ListTaxRates", "GetTaxRate", "CreateTaxRate", "UpdateTaxRate", "ArchiveTaxRate",
}  # fmt: skip
RPCS = rpcs()
END_SESSION = "UPDATE sessions SET ended_at = now(), end_reason = 'revoked' WHERE id = $1"


def settings(database: str) -> Settings:
    """Return settings of a worker that makes a guest for each test of this module."""
    return replace(settings_of(database), guests=GuestRules(per_hour=10_000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(postgres: Postgres) -> AsyncIterator[Shop]:
    """One worker for all tests of this module; each test has its own accounts and goods."""
    async with copied(postgres) as database, small_pool(database) as pool, worker(settings(database), pool) as shop:
        await shop.person(admin=True)  # so that an administrator of a test who erases itself is not the last one
        yield shop


@pytest_asyncio.fixture(loop_scope="module")
async def world(shop: Shop, request: pytest.FixtureRequest) -> World:
    """The callers, and the subjects of an RPC or of all."""
    callspec, needed = getattr(request.node, "callspec", None), Watched()
    if callspec:
        EXAMPLE_REQUESTS[callspec.params["rpc"].name](needed)
    admin, owner, other = await shop.person(admin=True), await shop.person(), await shop.person()
    guest = await shop.guest("guest@example.com")
    subjects = await make_subjects(shop, admin, owner, needed.read if callspec else EVERYTHING)
    for person in (admin, owner, other, guest):
        await shop.add(person, Product(id=subjects.product_id))
    return World({ADMIN: admin, OWNER: owner, OTHER: other, GUEST: guest}, subjects)


async def code(shop: Shop, rpc: Rpc, message: Message, who: Person | None) -> StatusCode:
    call: Any = shop.channel.unary_unary(rpc.path, request_serializer=lambda sent: sent.SerializeToString(), response_deserializer=None)
    try:
        await call(message, metadata=who.metadata if who else (), timeout=CALL_S)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return StatusCode.OK


async def test_the_policies_are_those_that_were_decided() -> None:
    by_access: dict[int, set[str]] = {}
    for rpc in RPCS:
        by_access.setdefault(rpc.policy.access, set()).add(rpc.name)
    assert by_access[policy_pb2.ACCESS_ANYONE] == PUBLIC
    assert by_access[policy_pb2.ACCESS_USER] == FOR_USERS
    assert by_access[policy_pb2.ACCESS_ADMIN] == FOR_ADMINS


async def test_no_rpc_serves_a_session_that_has_ended(shop: Shop, world: World) -> None:
    """A worker asks the database about each of these sessions, because it has not cached them."""
    served = []
    for rpc in RPCS:
        if rpc.policy.access != policy_pb2.ACCESS_ANYONE:
            person = await shop.person(admin=True)
            await shop.pool.execute(END_SESSION, uuid.UUID(person.session_id))
            if await code(shop, rpc, world.request(rpc), person) is not StatusCode.UNAUTHENTICATED:
                served.append(rpc.name)
    assert served == []


async def test_no_rpc_takes_the_session_of_another_account(shop: Shop, world: World) -> None:
    """A role is read for the account and the session of a token, so neither lends its rights to the other."""
    one, other = await shop.person(admin=True), await shop.person(admin=True)
    await shop.users.GetMe(GetMeRequest(), metadata=other.metadata)  # the worker remembers this session
    mixed = Person(one.id, one.email, await shop.token(uuid.UUID(one.id), uuid.UUID(other.session_id)))
    secured = [rpc for rpc in RPCS if rpc.policy.access != policy_pb2.ACCESS_ANYONE]
    assert [rpc.name for rpc in secured if await code(shop, rpc, world.request(rpc), mixed) is not StatusCode.UNAUTHENTICATED] == []


@pytest.mark.parametrize("who", [ANONYMOUS, GUEST, OTHER, OWNER, ADMIN])
@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
async def test_an_rpc_answers_those_it_is_for(shop: Shop, world: World, rpc: Rpc, who: str) -> None:
    answered = await code(shop, rpc, world.request(rpc), world.people.get(who))
    if who in (OWNED | BY_METHOD).get(rpc.name, ALLOWED[rpc.policy.access]):
        assert answered is (StatusCode.INVALID_ARGUMENT if rpc.name in UNSIGNED else StatusCode.OK)
    elif who == ANONYMOUS:
        assert answered is StatusCode.UNAUTHENTICATED
    else:
        hidden = rpc.name in OWNED and not (who == GUEST and rpc.name in FOR_USERS)
        assert answered is (StatusCode.NOT_FOUND if hidden else StatusCode.PERMISSION_DENIED)
