"""Redirects of old addresses that become earlier slugs: the meaning of an address, and the plan of a file.

An earlier slug leads to a thing of its own kind. So a redirect can be kept if it leads from the old address of a product, group or category
to a thing of the same kind.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import UUID

from mercato_server.domain.refused_lines import Refused
from mercato_server.domain.slugs import SlugKind, is_slug

LINES_MAX = 100_000
"""Redirects of a file, which is as many as a shop of Shopify may have."""
ADDRESS_MAX = 2_048
"""Characters of an address."""
GOODS = (SlugKind.GROUP, SlugKind.PRODUCT)
"""The kinds that another shop calls a product. A group comes first, since a product with options is one here."""
_CATEGORY = (SlugKind.CATEGORY,)

_Key = tuple[SlugKind, str]


class AddressError(Exception):
    """An address is none of a product, group or category; the message says why."""


class Place(NamedTuple):
    """The thing at an address: its slug, and the kinds that it may have."""

    kinds: tuple[SlugKind, ...]
    slug: str

    @property
    def keys(self) -> list[_Key]:
        """The rows of slugs that may hold it."""
        return [(kind, self.slug) for kind in self.kinds]


class Incoming(NamedTuple):
    """A line of a file: an old address, and the one to which it leads."""

    line: int
    source: Place
    target: Place


class Held(NamedTuple):
    """A slug as the shop has it; it is live unless a deleted product has it. The fields have the order of the columns."""

    kind: str
    slug: str
    subject_id: UUID
    is_live: bool
    is_on_sale: bool
    """Whether its thing is a category, a group, or a product on sale."""


class Redirect(NamedTuple):
    """An earlier slug to be kept, and the thing to which it leads."""

    line: int
    kind: SlugKind
    slug: str
    subject_id: UUID


@dataclass(slots=True)
class Plan:
    """The redirects that the shop can keep, and the lines that it cannot."""

    kept: list[Redirect] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def place(address: str, hosts: Collection[str]) -> Place:
    """Return the thing at an address: a path, or a URL of one of the hosts. Query and fragment do not count. Raises AddressError.

    Known are the paths of Shopify, those of WooCommerce with its defaults, and `/v1/slugs/`.
    """
    if len(address) > ADDRESS_MAX:
        raise AddressError(f"has more than {ADDRESS_MAX} characters")
    try:
        parts = urlsplit(address.strip())
        host = parts.hostname
    except ValueError:
        raise AddressError("is no address") from None
    if (host and host not in hosts) or parts.scheme not in {"", "http", "https"}:
        raise AddressError("is an address of another host")
    steps = [unquote(step) for step in parts.path.strip("/").split("/")]
    kinds = _kinds(steps)
    if not kinds:
        raise AddressError("is no address of a product, group or category")
    if not is_slug(steps[-1]):
        raise AddressError(f"ends in {steps[-1][:80]!r}, which is no slug")
    return Place(kinds, steps[-1])


def _kinds(steps: Sequence[str]) -> tuple[SlugKind, ...]:
    match steps:
        case ["v1", "slugs", kind, _] if kind in set(SlugKind):
            return (SlugKind(kind),)
        case ["products" | "product", _] | ["collections", _, "products", _]:
            return GOODS
        case ["collections", _]:
            return _CATEGORY
        case ["product-category", _, *_]:
            return _CATEGORY
    return ()


def plan(incoming: Sequence[Incoming], held: Iterable[Held]) -> Plan:
    """Return the redirects of a file: each leads to the thing at the end of its chain.

    A live slug ends a chain. After it the file decides, then the earlier slugs of the shop. A line is refused if its address has a live
    slug or occurs before, if its chain is a ring, and if it leads to no thing, or to one of another kind.
    """
    shop = {(SlugKind(each.kind), each.slug): each for each in held}
    found = Plan()
    lines: dict[_Key, Incoming] = {}
    for row in incoming:
        first = next((lines[key].line for key in row.source.keys if key in lines), None)
        if first is not None:
            found.refused.append(Refused(row.line, f"is the address of line {first}, too"))
        elif any(_is_live(shop, key) for key in row.source.keys):
            found.refused.append(Refused(row.line, f"{row.source.slug} is the slug of a thing that the shop has"))
        else:
            lines |= dict.fromkeys(row.source.keys, row)
    ends: dict[int, Place | None] = {}
    for row in {row.line: row for row in lines.values()}.values():
        last = _last(row, lines, shop, ends)
        end = _thing(row, last, shop) if last else "leads in a ring"
        if isinstance(end, str):
            found.refused.append(Refused(row.line, end))
        else:
            found.kept.append(Redirect(row.line, SlugKind(end.kind), row.source.slug, end.subject_id))
    found.refused.sort()
    return found


def _last(row: Incoming, lines: Mapping[_Key, Incoming], shop: Mapping[_Key, Held], ends: dict[int, Place | None]) -> Place | None:
    """Return the last target of the chain of a line, None for a ring; `ends` has those of lines that were looked at before."""
    passed: dict[int, None] = {}
    end: Place | None = None
    while row.line not in ends and row.line not in passed:
        passed[row.line] = None
        end = row.target
        is_end = any(_is_live(shop, key) for key in end.keys)
        following = None if is_end else next((lines[key] for key in end.keys if key in lines), None)
        if following is None:
            break
        row = following
    else:
        end = ends.get(row.line)
    ends |= dict.fromkeys(passed, end)
    return end


def _thing(row: Incoming, last: Place, shop: Mapping[_Key, Held]) -> Held | str:
    """Return the thing to which a line leads, or why it cannot."""
    found = [shop[key] for key in last.keys if key in shop and shop[key].is_on_sale]
    found.sort(key=lambda each: not each.is_live)  # of two live slugs, that of the group stays first
    if not found:
        return f"leads to {last.slug}, and the shop has no such thing"
    fitting = [each for each in found if each.kind in row.source.kinds]
    return fitting[0] if fitting else f"leads to a {found[0].kind}, and a slug leads to a thing of its own kind"


def _is_live(shop: Mapping[_Key, Held], key: _Key) -> bool:
    return key in shop and shop[key].is_live and shop[key].is_on_sale
