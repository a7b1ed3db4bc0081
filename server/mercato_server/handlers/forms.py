"""The body of POST /login, which is an HTML form or JSON."""

from codecs import BOM_UTF8
from typing import NamedTuple
from urllib.parse import parse_qs

from mercato_server.domain.errors import InvalidRequest, MalformedRequest, Violation
from mercato_server.validation.checks import Checks
from mercato_server.validation.fields import is_unicode
from mercato_server.validation.rest_message import shown
from mercato_server.validation.strict_json import Repeating, parse

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_FIELDS_MAX = 20
_CREDENTIALS = ("username", "email", "password")
_FIELDS = (*_CREDENTIALS, "guest_token", "cart_merge")
_OF_OAUTH = ("grant_type", "scope", "client_id", "client_secret")
"""Other fields that an OAuth 2.0 client sends with them (RFC 6749 section 4.3.2); they have no effect."""


class Credentials(NamedTuple):
    """The fields of a login body; an absent one is empty."""

    email: str
    password: str
    guest_token: str
    cart_merge: str


def credentials(content_type: str, body: bytes) -> Credentials:
    """Return the fields of a login body. Raises InvalidRequest for a malformed body."""
    match content_type.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            fields = _form(body)
        case "application/json":
            fields = _json(body)
        case _:
            raise InvalidRequest([Violation("content-type", f"must be {FORM} or {JSON}")])
    name, email = fields.get("username", ""), fields.get("email", "")
    if name and email and name != email:
        raise InvalidRequest([Violation("email", "differs from username; send one of them")])
    return Credentials(name or email, fields.get("password", ""), fields.get("guest_token", ""), fields.get("cart_merge", ""))


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form. Unknown ones are ignored (RFC 6749 section 3.2), and none may be there twice."""
    try:
        values = parse_qs(body.removeprefix(BOM_UTF8).decode(), max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        raise InvalidRequest([Violation("body", "must be a URL-encoded form in UTF-8 with username and password")]) from None
    if repeated := [name for name in _FIELDS if len(values.get(name, ())) > 1]:
        raise InvalidRequest([Violation(name, "is there twice") for name in repeated])
    return {name: value[0] for name, value in values.items()}


def _json(body: bytes) -> dict[str, str]:
    try:
        fields = parse(body)
    except MalformedRequest as error:
        raise InvalidRequest([Violation("body", error.message)]) from None
    if not isinstance(fields, dict):
        raise InvalidRequest([Violation("body", 'must be a JSON object such as {"username": "jo@example.com", "password": "…"}')])
    with Checks() as check:
        for name in fields.names if isinstance(fields, Repeating) else ():
            check.fail(shown(name), "is there twice")
        for name in fields:
            if name not in (*_FIELDS, *_OF_OAUTH):
                check.fail(shown(name), "is not a field; the fields are {known}", known=", ".join(_FIELDS))
        for name in _FIELDS:
            if name in fields and not (isinstance(fields[name], str) and is_unicode(fields[name])):
                check.fail(name, "must be a text")
    return {name: fields[name] for name in _FIELDS if name in fields}
