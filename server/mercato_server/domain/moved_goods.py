"""Goods that move in from another shop: the meaning of the cells of its file.

Amounts are read as decimals, never as floats. A cell that has no meaning here raises UnfitCellError. Where a part of a cell is lost,
`remark` is told.
"""

import hashlib
import html
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import urlsplit

from mercato_server.domain import html_descriptions
from mercato_server.domain.catalog import (
    CATEGORY_NAME_MAX,
    DESCRIPTION_MAX,
    IMAGE_URL_MAX,
    IMAGE_URLS_MAX,
    NAME_MAX,
    PRICE_MAX_MINOR,
    STOCK_MAX,
    WEIGHT_MAX_GRAMS,
)
from mercato_server.domain.html_descriptions import DESCRIPTION_HTML_MAX, TAGS_MAX, UnstableHtmlError
from mercato_server.domain.money import DECIMALS
from mercato_server.domain.product_groups import Options

KEY_MAX = 64
"""Characters of a SKU and of a group's code."""
GRAMS = {"g": Decimal(1), "kg": Decimal(1000), "lb": Decimal("453.59237"), "oz": Decimal("28.349523125")}
"""Grams of a unit of weight: NIST Special Publication 811, appendix B.8."""

_DECIMAL = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_WHOLE = re.compile(r"(-?[0-9]{1,18})(?:\.0{1,18})?")
_TAG = re.compile(r"<[^<>]*>")
_DIGEST = 12

Remark = Callable[[str], None]
"""Takes a sentence about a part of a cell that is lost."""


class UnfitCellError(Exception):
    """A cell has no meaning here; the message says why, without naming the cell."""


@contextmanager
def cell(noun: str) -> Iterator[None]:
    """Name the cell in the errors of the block."""
    try:
        yield
    except UnfitCellError as error:
        raise UnfitCellError(f"the {noun} {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedVariant:
    """A product as it is sold: the line of the file that has it, and its own fields. A product without options is its only variant."""

    line: int
    sku: str = ""
    options: Options = ()
    price_minor: int = 0
    stock: int | None = None
    """Units of the first import; None is 0 of a new product."""
    image_urls: tuple[str, ...] = ()
    needs_delivery: bool | None = False
    """None keeps what the shop has."""
    weight_grams: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedProduct:
    """A product of the other shop: its key there, which stays from export to export, and what its variants share."""

    key: str
    name: str
    description: str | None = ""
    """None, of both descriptions, keeps those that the shop has."""
    description_html: str | None = ""
    category: tuple[str, ...] = ()
    """The path of its category, that at the top first; empty if the file names none."""
    slug: str = ""
    """Its name in the addresses of the other shop; empty if the file has none."""
    varies_by: tuple[str, ...] = ()
    variants: tuple[MovedVariant, ...] = field(default=())


def key_of(text: str) -> str:
    """Return a key of at most 64 characters; a longer text ends in a digest of all of it."""
    text = text.strip()
    if len(text) <= KEY_MAX:
        return text
    return f"{text[: KEY_MAX - _DIGEST - 1]}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]}"


def price_minor(text: str, currency_code: str) -> int:
    """Return a price in minor units of its currency (ISO 4217)."""
    text, decimals = text.strip(), DECIMALS.get(currency_code, 2)
    if not text:
        raise UnfitCellError("is empty")
    if not _DECIMAL.fullmatch(text):
        raise UnfitCellError("must be a decimal number such as 1299.00")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        raise UnfitCellError(f"has more than {decimals} decimals, and {currency_code} has {decimals}")
    minor = int(whole + fraction.ljust(decimals, "0"))
    if minor > PRICE_MAX_MINOR:
        raise UnfitCellError("is too high")
    return minor


def grams(text: str, unit: str) -> int:
    """Return a weight in whole grams, rounded half up; an empty cell is 0. The unit is one of GRAMS, or `lbs`."""
    text = text.strip()
    if not text:
        return 0
    factor = GRAMS.get(unit.strip().lower().removesuffix("s"))
    if factor is None:
        raise UnfitCellError(f"must be in one of {', '.join(GRAMS)}")
    if not _DECIMAL.fullmatch(text):
        raise UnfitCellError("must be a decimal number such as 0.5")
    weight = int((Decimal(text) * factor).to_integral_value(ROUND_HALF_UP))
    if weight > WEIGHT_MAX_GRAMS:
        raise UnfitCellError("is too high")
    return weight


def units(text: str, remark: Remark) -> int | None:
    """Return a number of units, None if it is not stated; a number below 0 counts as 0."""
    text = text.strip()
    if not text:
        return None
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        remark("the stock is no whole number, and counts as 0")
        return 0
    stock = int(whole[1])
    if not 0 <= stock <= STOCK_MAX:
        remark(f"the stock of {stock} counts as {min(max(stock, 0), STOCK_MAX)}")
    return min(max(stock, 0), STOCK_MAX)


def name(text: str, remark: Remark) -> str:
    """Return a name, on one line; it is cut after 200 characters."""
    text = " ".join(html.unescape(text).split())
    if len(text) > NAME_MAX:
        remark(f"the name was cut after {NAME_MAX} characters")
    return html_descriptions.shortened(text, NAME_MAX)


def category(path: str, remark: Remark) -> tuple[str, ...]:
    """Return the names of a path such as `Clothing > Shirts`. A `>` within a name is `&gt;`, as both shops write it."""
    names = [" ".join(html.unescape(name).split()) for name in path.split(">")]
    if any(len(name) > CATEGORY_NAME_MAX for name in names):
        remark(f"the name of the category was cut after {CATEGORY_NAME_MAX} characters")
    return tuple(cut for name in names if (cut := name[:CATEGORY_NAME_MAX].strip()))


def deepest(paths: Iterable[str], remark: Remark) -> tuple[str, ...]:
    """Return the first of the paths of a product, or the one that goes furthest on from it; a product has one category."""
    found = [names for path in paths if (names := category(path, remark))]
    if not found:
        return ()
    on = [names for names in found if names[: len(found[0])] == found[0]]
    chosen = max(on, key=len)
    if left := {names for names in found if names != chosen[: len(names)]}:
        remark(f"{len(left)} more categories were left out, since a product has one")
    return chosen


def images(addresses: Iterable[str], remark: Remark) -> tuple[str, ...]:
    """Return the http and https addresses of pictures, each once, in their order and at most 20."""
    found = dict.fromkeys(text for address in addresses if (text := address.strip()))
    good = [text for text in found if _is_picture(text)]
    if len(good) < len(found):
        remark(f"{len(found) - len(good)} pictures were left out, since they have no http or https address")
    if len(good) > IMAGE_URLS_MAX:
        remark(f"{len(good) - IMAGE_URLS_MAX} pictures were left out, since a product has at most {IMAGE_URLS_MAX}")
    return tuple(good[:IMAGE_URLS_MAX])


def pictures(own: Iterable[str], shared: Iterable[str], remark: Remark) -> tuple[str, ...]:
    """Return the pictures of a variant: its own, before those that it shares with the others and that `images` has checked."""
    return tuple(dict.fromkeys((*images(own, remark), *shared)))[:IMAGE_URLS_MAX]


def description(text: str, remark: Remark) -> tuple[str, str]:
    """Return a description as text and as HTML; a cell without a tag is text alone."""
    text = text.replace("\0", "").replace("\r\n", "\n").strip()
    if "<" not in text:
        return _short(html.unescape(text), remark), ""
    kept = _cleaned(text)
    if kept is None:
        remark("the description was kept as text alone, since its HTML has too many tags or is broken")
        return _short(html.unescape(_TAG.sub(" ", text)), remark), ""
    text = _short(html_descriptions.text_of(kept), remark)
    if len(kept) > DESCRIPTION_HTML_MAX:
        remark(f"the description was kept as text alone, since its HTML has more than {DESCRIPTION_HTML_MAX} characters")
        return text, ""
    return text, kept if "<" in kept else ""


def _cleaned(text: str) -> str | None:
    try:
        return html_descriptions.cleaned(text) if text.count("<") <= TAGS_MAX else None
    except UnstableHtmlError:
        return None


def _short(text: str, remark: Remark) -> str:
    if len(text) > DESCRIPTION_MAX:
        remark(f"the text of the description was cut after {DESCRIPTION_MAX} characters")
    return html_descriptions.shortened(text.strip(), DESCRIPTION_MAX)


def _is_picture(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    is_plain = text.isprintable() and " " not in text and len(text.encode()) <= IMAGE_URL_MAX
    return is_plain and parts.scheme in {"http", "https"} and bool(parts.hostname)
