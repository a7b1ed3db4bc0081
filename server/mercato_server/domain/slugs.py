"""Slugs: the names of categories, products and groups of products in addresses.

A slug has small letters of ASCII, digits, and single hyphens between them (RFC 3986 section 2.3 calls these unreserved, so no address
escapes them). It is never a UUID and no word of RESERVED, so it can stand where an id or a verb stands.
"""

import re
import secrets
from collections.abc import Iterable
from enum import StrEnum
from uuid import UUID

SLUG_MAX = 80
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
HISTORY_MAX = 20
"""Earlier slugs of one thing that lead to it; older ones are forgotten."""
RESERVED = frozenset({
    "adjuststock", "advance", "archive", "batchget", "cancel", "cancelitems", "capture", "changepassword", "complete", "create",
    "createupload", "delete", "deliver", "edit", "export", "generatecodes", "guest", "import", "linked", "list", "login", "logoutall",
    "merge", "move", "new", "quote", "refresh", "requestemailverification", "requestpasswordreset", "resetpassword", "resolve", "search",
    "ship", "undelete", "update", "upload", "upsert", "verifyemail",
})  # fmt: skip
"""The verbs of the API in small letters, and words that web pages use as verbs."""
_BASE_MAX = 64
"""Characters of a slug that is made of a name; the rest is for what makes it unique."""
_SUFFIX_CHARACTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_SUFFIX_LENGTH = 6
_OTHERS = re.compile(r"[^a-z0-9]+")
_APOSTROPHES = re.compile("['\u2019\u02bc]")


class SlugKind(StrEnum):
    """The kind of a thing that has a slug; the values are those of the database and of addresses."""

    CATEGORY = "category"
    PRODUCT = "product"
    GROUP = "group"


def is_slug(text: str) -> bool:
    """Return whether a text has the form of a slug."""
    return len(text) <= SLUG_MAX and SLUG.fullmatch(text) is not None and not _is_shadow(text)


def needs_table(names: Iterable[str]) -> bool:
    """Return whether a name has characters beyond ASCII, for which `slug_of` loads parts of a table from disk."""
    return not all(map(str.isascii, names))


def slug_of(name: str, kind: SlugKind) -> str:
    """Return the slug that a name of any script would have if no other thing had it.

    A name without letters and digits has the slug of its kind, for example `category`.
    """
    if not name.isascii():
        from anyascii import anyascii

        name = anyascii(name)
    words = _OTHERS.sub("-", _APOSTROPHES.sub("", name).lower()).strip("-")
    if len(words) > _BASE_MAX:
        words = words[: _BASE_MAX + 1].rpartition("-")[0].strip("-") or words[:_BASE_MAX]
    if not words:
        return kind.value
    return f"{kind.value}-{words}" if _is_shadow(words) else words


def distinct(slug: str) -> str:
    """Return a slug with a random end, for a slug of `slug_of` that another thing has."""
    return f"{slug}-{''.join(secrets.choice(_SUFFIX_CHARACTERS) for _ in range(_SUFFIX_LENGTH))}"


def _is_shadow(text: str) -> bool:
    """Return whether a text could be taken for an id or a verb."""
    try:
        return text in RESERVED or str(UUID(text)) == text or len(text) == len(UUID(text).hex)
    except ValueError:
        return False
