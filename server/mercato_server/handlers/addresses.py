"""The RPCs of UserService for the address book."""

from mercato.v1 import user_pb2
from mercato_server.database.pool import Pool
from mercato_server.handlers import convert
from mercato_server.handlers.idempotency import Answer, Idempotency, answer
from mercato_server.handlers.masks import masked, replace_by_put
from mercato_server.handlers.pages import Pager
from mercato_server.handlers.postal_addresses import checked, load
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store import addresses
from mercato_server.validation.checks import Checks

ADDRESS_FIELDS = ("postal_address", "is_default")
"""Fields of an address that its owner may change."""
_POSTAL_ADDRESS = "address.postal_address"


class AddressHandler:
    """Reads and changes the addresses of the caller."""

    def __init__(self, pool: "Pool", pager: Pager, keys: Idempotency) -> None:
        self._pool = pool
        self._pager = pager
        self._idempotency = keys

    async def ListAddresses(self, request: user_pb2.ListAddressesRequest, context: Context) -> Answer:
        """List the caller's addresses."""
        with Checks() as check:
            self._pager.check(check, request)
        account_id = context.account_id
        query = f"addresses {account_id}"
        page = self._pager.page(request, query)
        return await self._pager.answer(
            page, query, lambda page: addresses.addresses(self._pool, account_id, page), convert.address, user_pb2.ListAddressesResponse
        )

    async def GetAddress(self, request: user_pb2.GetAddressRequest, context: Context) -> user_pb2.Address:
        """Return an address of the caller."""
        with Checks() as check:
            address_id = check.uuid("address_id", request.address_id)
        return convert.address(await addresses.get(self._pool, context.account_id, address_id))

    async def CreateAddress(self, request: user_pb2.CreateAddressRequest, context: Context) -> Answer:
        """Add an address to those of the caller."""
        address = request.address
        await load(address.postal_address)
        with Checks() as check:
            postal = checked(check, _POSTAL_ADDRESS, address.postal_address)
        key = self._idempotency.key(context, request, convert.address)
        made = await addresses.create(self._pool, context.account_id, postal, key, is_default=address.is_default)
        return answer(context, made, convert.address)

    async def UpdateAddress(self, request: user_pb2.UpdateAddressRequest, context: Context) -> Answer:
        """Change an address of the caller."""
        address = request.address
        replace_by_put(context, request.update_mask)
        await load(address.postal_address)
        with Checks() as check:
            address_id = check.uuid("address.id", address.id)
            etags = expected_etags(check, context, "address.etag", address.etag)
            fields = masked(check, request.update_mask, address, ADDRESS_FIELDS)
            postal = checked(check, _POSTAL_ADDRESS, address.postal_address) if "postal_address" in fields else None
        change = addresses.Update(
            account_id=context.account_id,
            address_id=address_id,
            etags=etags,
            postal_address=postal,
            is_default=address.is_default if "is_default" in fields else None,
        )
        key = self._idempotency.key(context, request, convert.address)
        return answer(context, await addresses.update(self._pool, change, key), convert.address)

    async def DeleteAddress(self, request: user_pb2.DeleteAddressRequest, context: Context) -> Answer:
        """Delete an address of the caller."""
        with Checks() as check:
            address_id = check.uuid("address_id", request.address_id)
            etags = expected_etags(check, context, "etag", request.etag)
        key = self._idempotency.key(context, request, convert.address)
        return answer(context, await addresses.delete(self._pool, context.account_id, address_id, etags, key), convert.address)
