"""Postal addresses: their normal form, what is wrong with them, their text for an envelope, and their JSON.

Recipient, street and city keep the buyer's spelling. Orders keep an address as it was normalised, so a change here does not reach them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace

from mercato_server.domain import postal_rules
from mercato_server.domain.errors import Violation
from mercato_server.domain.postal_rules import FIELDS, LINE_BREAK, Rules

STREET_LINES_MAX = 4
RECIPIENT_MAX = 200
COMPANY_MAX = 200
STREET_LINE_MAX = 200
CITY_MAX = 100
REGION_MAX = 100
POSTAL_CODE_MAX = 20
SORTING_CODE_MAX = 30
PHONE_MAX = 30
VAT_NUMBER_MAX = 30
"""Characters of each field. A country code has two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalAddress:
    """A postal address; an empty field is absent. The fields have the order of the columns of the statements that write them."""

    country_code: str
    """ISO 3166-1 alpha-2."""
    recipient: str = ""
    company: str = ""
    street_lines: tuple[str, ...] = ()
    city_area: str = ""
    """A part of the city that the country's addresses name, such as a district of Brazil."""
    city: str = ""
    region: str = ""
    """The key of the region in the postal rules, such as CA for California; any text where these list no regions."""
    postal_code: str = ""
    sorting_code: str = ""
    """Such as a French CEDEX."""
    phone: str = ""
    """E.164, such as +442083661177."""
    vat_number: str = ""
    """As the buyer gave it."""


def load(country_code: str) -> None:
    """Load the rules of a country, and those of phone numbers. The first call reads files, and takes 16 ms to a third of a second."""
    from phonenumbers import PhoneMetadata

    code = country_code.strip().upper()
    postal_rules.rules(code)
    PhoneMetadata.metadata_for_region(code)


def normalised(address: PostalAddress) -> tuple[PostalAddress, list[Violation]]:
    """Return an address in its normal form, and what is wrong with it, by fields of PostalAddress.

    Fields that the country's addresses do not have are kept, and not checked. The lengths of texts are not checked either.
    """
    address = _trimmed(address)
    rules = postal_rules.rules(address.country_code)
    if rules is None:
        return address, [Violation("country_code", "must be the code of a country such as DE (ISO 3166-1 alpha-2)")]
    regions = postal_rules.regions(address.country_code)
    address = replace(
        address,
        region=regions.get(postal_rules.folded(address.region), address.region),
        postal_code=postal_rules.normal_postal_code(address.country_code, address.postal_code),
    )
    found = [*_absent(address, rules), *_misplaced(address, rules, list(regions.values()))]
    if address.phone:
        number = _e164(address.phone, address.country_code)
        address = replace(address, phone=number or address.phone)
        if not number:
            text = "must be a phone number of {country_code}, or one with + and the code of its country"
            found.append(Violation("phone", text, {"country_code": address.country_code}))
    return address, found


def formatted(address: PostalAddress) -> list[str]:
    """Return the lines of a normalised address as its country writes them, with the country's name as the last one."""
    rules = postal_rules.rules(address.country_code)
    if rules is None:
        raise ValueError(f"{address.country_code!r} is the code of no country")
    texts = {f"%{letter}": _printed(address, field, rules) for letter, field in FIELDS.items()}
    parts = rules.format
    written = ""
    kept = True  # whether the last field is printed, or the line has none yet
    for part, following in zip(parts, (*parts[1:], LINE_BREAK), strict=True):
        if part == LINE_BREAK:
            written, kept = written + "\n", True
        elif part in texts:
            written, kept = written + texts[part], bool(texts[part])
        elif kept and texts.get(following, following):  # a text between two fields stands only between two fields that are there
            written += part
    return [line.strip() for line in (*written.split("\n"), rules.name) if line.strip()]


def to_json(address: PostalAddress) -> str:
    """Return an address as a JSON object."""
    return json.dumps(asdict(address), ensure_ascii=False)


def from_json(text: str) -> PostalAddress:
    """Return the address of a JSON object; it ignores fields of a later release."""
    values = json.loads(text)
    known = {field.name: values[field.name] for field in fields(PostalAddress) if field.name in values}
    return PostalAddress(**{**known, "street_lines": tuple(known.get("street_lines", ()))})


def _trimmed(address: PostalAddress) -> PostalAddress:
    texts = {name: value.strip() for name, value in asdict(address).items() if isinstance(value, str)}
    code = texts["country_code"]
    texts["country_code"] = code.upper() if code.isascii() else code  # a ligature of two letters would become a code
    return replace(address, **texts, street_lines=tuple(line.strip() for line in address.street_lines if line.strip()))


def _absent(address: PostalAddress, rules: Rules) -> Iterator[Violation]:
    if not address.recipient and not address.company:
        yield Violation("recipient", "is required, unless there is a company")
    for field in rules.required:
        if not getattr(address, field):
            yield Violation(field, "is required in {country_code}", {"country_code": address.country_code})


def _misplaced(address: PostalAddress, rules: Rules, regions: Sequence[str]) -> Iterator[Violation]:
    """Yield what is wrong with region and postal code. A city need not be in the data: these lack villages and most spellings."""
    if regions and address.region and address.region not in regions:
        text = "must be a region of {country_code} such as {example}"
        yield Violation("region", text, {"country_code": address.country_code, "example": regions[0]})
    if "postal_code" in rules.fields and address.postal_code:
        names = (address.region if regions else "", address.city, address.city_area)
        place = postal_rules.place_without(address.postal_code, address.country_code, names)
        if place is not None:
            example = postal_rules.example_code(place) or postal_rules.example_code(address.country_code)
            yield Violation("postal_code", "must be a postal code of {place}, in the form {example}", {"place": place, "example": example})


def _e164(phone: str, country_code: str) -> str:
    """Return a phone number with the code of its country; empty if the text is no number that can be dialled without an extension."""
    import phonenumbers

    try:
        number = phonenumbers.parse(phone, country_code)
    except phonenumbers.NumberParseException:
        return ""
    if number.extension or not phonenumbers.is_valid_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _printed(address: PostalAddress, field: str, rules: Rules) -> str:
    text = "\n".join(address.street_lines) if field == "street_lines" else str(getattr(address, field))
    return text.upper() if field in rules.capitals else text
