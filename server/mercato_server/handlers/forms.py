"""The body of POST /login, which is an HTML form or JSON."""

import json
from urllib.parse import parse_qs

from mercato_server.domain.errors import InvalidRequest, Violation

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_FIELDS_MAX = 20


def credentials(content_type: str, body: bytes) -> tuple[str, str]:
    """Return the e-mail address and the password of a login body; an absent field is empty. Raises InvalidRequest for a malformed body."""
    match content_type.partition(";")[0].strip().lower():
        case "application/x-www-form-urlencoded":
            fields = _form(body)
        case "application/json":
            fields = _json(body)
        case _:
            raise InvalidRequest([Violation("content-type", f"must be {FORM} or {JSON}")])
    return fields.get("username") or fields.get("email", ""), fields.get("password", "")


def _form(body: bytes) -> dict[str, str]:
    try:
        values = parse_qs(body.decode(), max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        raise InvalidRequest([Violation("body", "must be a URL-encoded form in UTF-8 with username and password")]) from None
    return {name: value[-1] for name, value in values.items()}


def _json(body: bytes) -> dict[str, str]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidRequest([Violation("body", 'must be a JSON object such as {"username": "jo@example.com", "password": "…"}')])
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    wrong = [name for name in ("username", "email", "password") if name in fields and name not in texts]
    if wrong or not all(_is_unicode(value) for value in texts.values()):
        raise InvalidRequest([Violation(name, "must be a text") for name in wrong or ["body"]])
    return texts


def _is_unicode(value: str) -> bool:
    """Return whether a JSON text is valid Unicode; an escape can produce half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
