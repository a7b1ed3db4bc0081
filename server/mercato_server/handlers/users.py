"""The RPCs of UserService."""

from collections.abc import Collection
from typing import Literal

from mercato.v1 import user_pb2
from mercato_server.database.pool import Pool
from mercato_server.domain.accounts import FULL_NAME_MAX, SEARCH_MAX, AccountFilter, Role
from mercato_server.handlers import convert
from mercato_server.handlers.addresses import AddressHandler
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked
from mercato_server.handlers.pages import Pager
from mercato_server.rpc.context import Context
from mercato_server.security.security_log import SecurityEvent
from mercato_server.store import accounts, users
from mercato_server.validation.checks import Checks
from mercato_server.validation.tax_numbers import tax_number

OWN_FIELDS = ("full_name",)
"""Fields of an account that its owner may change."""
TAX_FIELDS: tuple[Literal["tax_treatment"], Literal["tax_number"]] = ("tax_treatment", "tax_number")
ADMINISTRATORS_FIELDS = ("role", "disabled", *TAX_FIELDS)
"""Fields of an account that administrators may change."""


class UserHandler:
    """Reads and changes the caller's account, and all accounts for administrators. AddressHandler has the RPCs of the address book."""

    def __init__(self, pool: "Pool", pager: Pager, keys: Idempotency) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = keys
        addresses = AddressHandler(pool, pager, keys)
        self.ListAddresses = addresses.ListAddresses
        self.GetAddress = addresses.GetAddress
        self.CreateAddress = addresses.CreateAddress
        self.UpdateAddress = addresses.UpdateAddress
        self.DeleteAddress = addresses.DeleteAddress

    async def GetMe(self, _request: user_pb2.GetMeRequest, context: Context) -> user_pb2.User:
        """Return the caller's account."""
        return convert.user(await accounts.get(self._pool, context.account_id))

    async def UpdateMe(self, request: user_pb2.UpdateMeRequest, context: Context) -> Answer:
        """Change the caller's account."""
        with Checks() as check:
            named = check.line("full_name", request.full_name, longest=FULL_NAME_MAX)
            fields = masked(check, request.update_mask, request, OWN_FIELDS)
        full_name = named if fields else None
        key = self._idempotency.key(context, request, convert.user)
        return answer(context, await accounts.rename(self._pool, context.account_id, full_name, key), convert.user)

    async def GetAdminOnly(self, _request: user_pb2.GetAdminOnlyRequest, _context: Context) -> user_pb2.GetAdminOnlyResponse:
        """Greet an administrator."""
        return user_pb2.GetAdminOnlyResponse(message="Welcome, admin")

    async def ListUsers(self, request: user_pb2.ListUsersRequest, _context: Context) -> Answer:
        """List accounts."""
        with Checks() as check:
            self._pager.check(check, request)
            text = check.text("q", request.q, longest=SEARCH_MAX)
            role = _listed_role(check, request.role) if request.role else None
        wanted = AccountFilter(query=text or None, role=role, disabled=request.disabled if request.HasField("disabled") else None)
        query = f"users {wanted}"
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page, query, lambda page: users.users(self._pool, wanted, page), convert.user, user_pb2.ListUsersResponse
        )

    async def GetUser(self, request: user_pb2.GetUserRequest, _context: Context) -> user_pb2.User:
        """Return an account."""
        with Checks() as check:
            user_id = check.uuid("user_id", request.user_id)
        return convert.user(await users.get(self._pool, user_id))

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Context) -> Answer:
        """Change the role or the taxes of an account, disable it or enable it."""
        with Checks() as check:
            user_id = check.uuid("user_id", request.user_id)
            fields = masked(check, request.update_mask, request, ADMINISTRATORS_FIELDS)
            role = _role(check, request.role) if "role" in fields else None
            taxes = _taxes(check, request, fields)
        disabled = request.disabled if "disabled" in fields else None
        change = users.Update(user_id=user_id, role=role, disabled=disabled, taxes=taxes, actor=context.actor)
        if role is not None:
            context.report(SecurityEvent.ROLE_SET, user_id, role=role.value)
        if disabled is not None:
            context.report(SecurityEvent.ACCOUNT_DISABLED if disabled else SecurityEvent.ACCOUNT_ENABLED, user_id)
        key = self._idempotency.key(context, request, convert.user)
        return answer(context, await users.update(self._pool, change, key), convert.user)


def _listed_role(check: Checks, number: user_pb2.Role.ValueType) -> Role:
    return Role.GUEST if number == user_pb2.ROLE_GUEST else _role(check, number)


def _role(check: Checks, number: user_pb2.Role.ValueType) -> Role:
    if number not in convert.ROLE_OF:
        check.fail("role", "must be ROLE_USER or ROLE_ADMIN")
    return convert.ROLE_OF.get(number, Role.USER)


def _taxes(check: Checks, request: user_pb2.UpdateUserRequest, fields: Collection[str]) -> users.BuyerTaxes | None:
    """Return how a buyer is to be taxed; None changes nothing. The mask `*` of an older client means only the fields that it sends."""
    sent = [field for field in TAX_FIELDS if field in fields and (request.HasField(field) or field in request.update_mask.paths)]
    if "tax_treatment" not in sent:
        if sent:
            check.fail("tax_treatment", "is required with tax_number")
        return None
    treatment = convert.TREATMENT_OF.get(request.tax_treatment)
    if treatment is None:
        check.fail("tax_treatment", "must be TAX_TREATMENT_NORMAL, TAX_TREATMENT_REVERSE_CHARGE or TAX_TREATMENT_EXEMPT")
        return None
    number = request.tax_number if "tax_number" in sent else ""
    return users.BuyerTaxes(treatment, tax_number(check, "tax_number", number, treatment))
