"""Passwords: their form, and the rules for new ones."""
# ruff: noqa: RUF001 - letters of all scripts are what is tested

import base64
import hashlib
import hmac
import subprocess
import sys

import bcrypt
import pytest

from mercato_server.security.common_passwords import common_passwords
from mercato_server.security.passwords import digest, digests, hash_password, prepared, weakness
from support.patience import patient

PEPPER = "a pepper"


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("e\u0301clair-42", "éclair-42"),
        ("correct\u00a0horse\u3000battery", "correct horse battery"),  # RFC 8265 section 4.2.2 rule 2
        ("\u212b\u1112\u1161\u11ab", "\u00c5\ud55c"),
        ("ＰＡＳＳ", "ＰＡＳＳ"),  # rule 1: widths stay
        ("Straße ﬁ", "Straße ﬁ"),  # NFC, not NFKC; case stays
    ],
)
def test_a_password_is_prepared_by_rfc_8265(typed: str, form: str) -> None:
    assert prepared(typed) == form
    assert digest(typed, PEPPER) == digest(form, PEPPER) == digests(form, PEPPER)[0]
    assert bcrypt.checkpw(digests(typed, PEPPER)[0].encode(), hash_password(form, pepper=PEPPER, cost=4).encode())


def test_a_hash_from_before_passwords_were_prepared_verifies() -> None:
    typed = "e\u0301clair-42"
    as_typed = base64.b64encode(hmac.digest(PEPPER.encode(), typed.encode(), hashlib.sha256))
    old = bcrypt.hashpw(as_typed, bcrypt.gensalt(4)).decode()
    assert [bcrypt.checkpw(each.encode(), old.encode()) for each in digests(typed, PEPPER)] == [False, True]
    assert len(digests("eclair-42", PEPPER)) == 1


def test_the_passwords_are_loaded_once_by_threads_that_need_them_at_once() -> None:
    script = (
        "import concurrent.futures, sys; sys.setswitchinterval(1e-6)\n"
        "from mercato_server.security.common_passwords import common_passwords\n"
        "with concurrent.futures.ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda _: common_passwords(), range(8)))\n"
        "assert all(each is found[0] for each in found)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=patient())


def test_the_list_of_common_passwords_is_long() -> None:
    assert len(common_passwords()) >= 10_000


@pytest.mark.parametrize(
    "password",
    [
        "password", "PassWord", "Password1!", "password2024", "football99", "iloveyou!!!", "qwertyuiop123", "!!letmein!!", "12345678",
        "123456789012", "87654321", "12345678!!", "abcdefgh", "abcdefgh1", "abcabcabc", "abcdabcd", "aaaaaaaa", "aabbaabb", " " * 8,
        "\u00a0" * 8, "        1", "1q2w3e4r5t", "trustno1!", "Dragon-2025",
    ],
)  # fmt: skip
def test_a_common_password_is_refused(password: str) -> None:
    assert weakness(password)


@pytest.mark.parametrize(
    "password",
    [
        "jo.doe@example.com",
        "Jo.Doe@Example.com",
        "jo.doe@example.com1",
        "jo.doe2024",
        "JoDoe-1988",
        "Johanna Doe",
        "johannadoe7",
        "Johanna-1988!",
    ],
)
def test_ones_own_address_and_name_are_refused(password: str) -> None:
    assert weakness(password, "jo.doe@example.com", "Johanna Doe") == "must not be your own name or address"
    assert weakness(password, "ann@example.org", "Ann") is None


@pytest.mark.parametrize(
    "password",
    [
        "securepass123",  # the example of the earlier API
        "correct horse battery staple", "xK9$vQ2!", "Tr0ub4dor&3x", "no84!71%92#64",
        "пароль-и-соль", "手机很好用的密码啊", "e\u0301clair-42",
    ],
)  # fmt: skip
def test_a_password_that_is_not_on_a_list_is_taken(password: str) -> None:
    assert weakness(password, "ann@example.org", "Ann Bo") is None


def test_a_short_or_long_password_is_refused_in_its_prepared_form() -> None:
    assert weakness("e\u0301" * 4) == "must have at least 8 characters"
    assert weakness("xy1!" * 257) == "must have at most 1024 bytes"
