"""Access tokens, page tokens and passwords."""

import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest

from mercato_server.domain.errors import PageTokenInvalid, TokenInvalid
from mercato_server.domain.paging import PageTokens, Position
from mercato_server.domain.passwords import hash_password, unmatched_hash, verify_password, weakness
from mercato_server.domain.tokens import Tokens

SECRET = "s" * 32
ACCOUNT = uuid4()
TOKENS = Tokens(SECRET, "HS256", 600)


def forged(header: dict[str, Any] | None = None, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    now = int(time.time())
    good = {"iss": "mercato", "aud": "mercato", "sub": str(ACCOUNT), "iat": now, "exp": now + 600, "jti": "1"}
    content = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode(content, secret, algorithm, headers={"typ": "at+jwt"} | (header or {}))


def test_a_token_names_its_account() -> None:
    now = int(time.time())
    assert TOKENS.verify(TOKENS.issue(ACCOUNT, now)) == (ACCOUNT, now + 600)
    assert TOKENS.verify(forged())[0] == ACCOUNT


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="garbage"),
        pytest.param("x" * 5000, id="too long"),
        pytest.param(forged(secret="t" * 32), id="other secret"),
        pytest.param(jwt.encode({"sub": str(ACCOUNT)}, "", "none"), id="alg none"),
        pytest.param(forged(algorithm="HS512", secret=SECRET * 2), id="other algorithm"),
        pytest.param(forged(exp=int(time.time()) - 1), id="expired"),
        pytest.param(forged(exp=None), id="no exp"),
        pytest.param(forged(exp=10**40), id="exp beyond all time"),
        pytest.param(forged(exp="soon"), id="exp not a number"),
        pytest.param(forged(nbf=int(time.time()) + 600), id="nbf ahead"),
        pytest.param(forged(iat=int(time.time()) + 600), id="iat ahead"),
        pytest.param(forged(iss="other"), id="wrong iss"),
        pytest.param(forged(iss=None), id="no iss"),
        pytest.param(forged(aud="other"), id="wrong aud"),
        pytest.param(forged(aud=["mercato", "other"]), id="several aud"),
        pytest.param(forged(sub=None), id="no sub"),
        pytest.param(forged(sub="admin"), id="sub not an id"),
        pytest.param(forged(jti=None), id="no jti"),
        pytest.param(forged({"typ": "JWT"}), id="not an access token"),
        pytest.param(forged({"crit": ["x"], "x": 1}), id="crit"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.verify(token)


PAGES = PageTokens(SECRET)


@pytest.mark.parametrize("key", [None, 0, -5, 2**62, "", "naïve \U0001f6b2", "\U0010ffff"])
def test_a_page_token_brings_its_position_back(key: int | str | None) -> None:
    position = Position(key, uuid4())
    assert PAGES.decode(PAGES.encode(position, "query"), "query") == position


def test_a_page_token_is_of_use_only_with_its_query_its_secret_and_unchanged() -> None:
    token = PAGES.encode(Position(7, UUID(int=9)), "price")
    flipped = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token) - 1)]
    for bad in (*flipped, "", "AAAA", "=", "é", "%", token + "A", token[:-4], "A" * 5000):
        with pytest.raises(PageTokenInvalid):
            PAGES.decode(bad, "price")
    with pytest.raises(PageTokenInvalid):
        PAGES.decode(token, "name")
    with pytest.raises(PageTokenInvalid):
        PageTokens("t" * 32).decode(token, "price")


@pytest.mark.parametrize("password", ["securepass123", "x" * 73, "x" * 1024, "nul\0inside", "pässwörd", " spaces "], ids=range(6))
def test_a_password_verifies_against_its_own_hash_only(password: str) -> None:
    hashed = hash_password(password, pepper="p", cost=4)
    assert verify_password(password, hashed, pepper="p")
    assert not verify_password(password + "x", hashed, pepper="p")
    assert not verify_password(password[:-1], hashed, pepper="p")
    assert not verify_password(password, hashed, pepper="q")


def test_the_hash_of_nobody_matches_nothing_and_has_the_same_cost() -> None:
    assert unmatched_hash(4).startswith("$2b$04$")
    assert not verify_password("", unmatched_hash(4), pepper="")


@pytest.mark.parametrize(
    ("password", "complaint"),
    [("short12", "at least 8"), ("Password123", "commonest"), ("x" * 1025, "at most 1024 bytes"), ("ü" * 513, "at most 1024 bytes")],
)
def test_a_weak_password_is_told_why(password: str, complaint: str) -> None:
    assert complaint in (weakness(password) or "")


def test_a_good_password_has_no_weakness() -> None:
    assert weakness("securepass123") is None
