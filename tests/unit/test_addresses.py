"""E-mail addresses: every spelling of an address is one account."""
# ruff: noqa: RUF001 - letters of all scripts are what is tested

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.addresses import AddressError, canonical, is_reserved, sought
from mercato_server.domain.errors import InvalidRequest
from mercato_server.domain.mails import ascii_address
from mercato_server.validation.checks import Checks

SAME = [
    ("jo@bücher.example", ("Jo@BÜCHER.example", "jo@xn--bcher-kva.example", "jo@bu\u0308cher.example", "JO@XN--BCHER-KVA.EXAMPLE")),
    ("jo@example.com", ("jo@EXAMPLE.com", "jo@ｅｘａｍｐｌｅ.com", " jo@example.com\n", "jo@example。com")),
    ("jörg@example.com", ("jo\u0308rg@example.com", "JÖRG@example.com", "JO\u0308RG@EXAMPLE.COM")),
    ("jo+shop@example.com", ("Jo+Shop@example.com",)),
]


@pytest.mark.parametrize(("form", "spellings"), SAME)
def test_every_spelling_of_an_address_has_one_form(form: str, spellings: tuple[str, ...]) -> None:
    assert {canonical(each) for each in (form, *spellings)} == {form}
    assert {sought(each) for each in (form, *spellings)} == {form}


LETTERS = st.text("aZ\u0130\u00df\u017f\u212a\u03a3\u03c2\u0308\u0301\uff21\u00e9\u0439\u3002.-+", min_size=1, max_size=6)


@given(
    st.emails() | st.text(max_size=40) | st.builds("{}@{}.{}".format, LETTERS, LETTERS, st.sampled_from(["org", "test", "\u0440\u0444"]))
)
def test_the_form_of_a_form_is_itself_and_a_login_seeks_what_a_signup_stores(text: str) -> None:
    try:
        stored = canonical(text)
    except AddressError:
        sought(text)
        return
    assert canonical(stored) == stored == sought(text) == sought(stored)
    assert stored == stored.lower()


@pytest.mark.parametrize(
    "text", ["", "jo", "jo@", "jo@x", "\0@x.org", "@", "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")]
)
def test_a_login_seeks_any_text(text: str) -> None:
    assert sought(text) == text.lower()


@pytest.mark.parametrize("address", ["jo@shop.test", "jo@x.invalid", "jo@a.b.local", "jo@x.localhost", "jo@x.onion"])
def test_a_reserved_domain_is_refused_unless_a_setting_allows_it(address: str) -> None:
    assert is_reserved(address)
    with pytest.raises(InvalidRequest), Checks() as check:
        check.new_email("email", address, reserved=False)
    with Checks() as check:
        assert check.new_email("email", address, reserved=True) == address
        assert check.email("email", address) == address
    assert ascii_address(address) == address


@pytest.mark.parametrize("address", ["jo@test.org", "jo@contest.example", "jo@localhost.com"])
def test_a_domain_that_only_looks_reserved_is_taken(address: str) -> None:
    with Checks() as check:
        assert check.new_email("email", address, reserved=False) == address
