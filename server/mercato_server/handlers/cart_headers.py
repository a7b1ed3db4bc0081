"""The change of a cart's header in a request."""

from collections.abc import Set as AbstractSet
from typing import Any

from mercato.v1 import cart_pb2
from mercato_server.domain.promotions import folded_code
from mercato_server.domain.purchases import CODE_MAX, CODES_MAX, NOTE_MAX
from mercato_server.handlers import postal_addresses
from mercato_server.handlers.masks import masked
from mercato_server.rpc.context import Context
from mercato_server.rpc.preconditions import expected_etags
from mercato_server.store.cart_headers import Update
from mercato_server.validation.checks import Checks

HEADER_FIELDS = (
    "shipping_address",
    "shipping_address_id",
    "billing_address",
    "billing_address_id",
    "shipping_method_id",
    "codes",
    "contact_email",
    "note",
)
"""Fields of a request that a mask may name."""
_COPIES = {"shipping_address_id": "shipping_address", "billing_address_id": "billing_address"}


def header_change(check: Checks, context: Context, request: cart_pb2.UpdateCartHeaderRequest) -> Update:
    """Return the change of the caller's cart header that a request asks for."""
    sent = {field.name for field, _ in request.ListFields()}
    named = masked(check, request.update_mask, request, HEADER_FIELDS)
    copies = {_COPIES[field]: check.uuid(field, getattr(request, field)) for field in named if field in _COPIES and field in sent}
    for field in sent & set(copies):
        check.fail(field, "must be absent, since its id is given")
    fields = {field: _value(check, request, field, sent) for field in named if field not in _COPIES and field not in copies}
    etags = expected_etags(check, context, "etag", request.etag)
    return Update(account_id=context.account_id, fields=fields, addresses=copies, etags=etags)


def _value(check: Checks, request: cart_pb2.UpdateCartHeaderRequest, field: str, sent: AbstractSet[str]) -> Any:
    match field:
        case "shipping_address" | "billing_address":
            return postal_addresses.checked(check, field, getattr(request, field)) if field in sent else None
        case "shipping_method_id":
            return check.optional_uuid(field, request.shipping_method_id)
        case "codes":
            return _codes(check, request)
        case "contact_email":
            return check.email(field, request.contact_email) if request.contact_email else None
        case _:
            return check.text(field, request.note, longest=NOTE_MAX)


def _codes(check: Checks, request: cart_pb2.UpdateCartHeaderRequest) -> tuple[str, ...]:
    """Return the codes in their folded form, each once."""
    entered = check.entries("codes", request.codes, CODES_MAX)
    codes = [check.line(f"codes[{index}]", code, shortest=1, longest=CODE_MAX) for index, code in enumerate(entered)]
    return tuple(dict.fromkeys(map(folded_code, codes)))
