"""Access tokens, page tokens and passwords."""

import time
from typing import Any
from uuid import UUID, uuid4

import bcrypt
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mercato_server.domain.errors import PageTokenInvalid, TokenInvalid
from mercato_server.domain.paging import PageTokens, Position
from mercato_server.security.keys import WrongSecretError, generate, unseal
from mercato_server.security.passwords import digests, hash_password, unmatched_hash, weakness
from mercato_server.security.refresh_tokens import LENGTH, RefreshTokens, digest
from mercato_server.security.tokens import Keyring, Tokens

SECRET = "s" * 32
ACCOUNT, SESSION = uuid4(), uuid4()
KEY, NEXT_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEYRING = Keyring("EdDSA", "now", KEY, {"now": KEY.public_key(), "next": NEXT_KEY.public_key()})
TOKENS = Tokens(KEYRING, 600)
SHARED = Tokens(Keyring.shared(SECRET, "HS256"), 600)


def forged(header: dict[str, Any] | None = None, key: Any = KEY, algorithm: str = "EdDSA", **claims: Any) -> str:
    now = int(time.time())
    good = {"iss": "mercato", "aud": "mercato", "sub": str(ACCOUNT), "sid": str(SESSION), "iat": now, "exp": now + 600, "jti": "1"}
    content = {name: value for name, value in (good | claims).items() if value is not None}
    headers = {"typ": "at+jwt", "kid": "now"} | (header or {})
    return jwt.encode(content, key, algorithm, headers={name: value for name, value in headers.items() if value is not None})


@pytest.mark.parametrize("tokens", [TOKENS, SHARED], ids=["EdDSA", "HS256"])
def test_a_token_names_its_account_and_session_until_it_expires(tokens: Tokens) -> None:
    before = time.time()
    said = tokens.verify(tokens.issue(ACCOUNT, SESSION))
    assert (said.account_id, said.session_id) == (ACCOUNT, SESSION)
    assert before + 599 <= said.expires_at <= time.time() + 600


def test_a_forged_token_without_changes_is_valid() -> None:
    assert TOKENS.verify(forged()).account_id == ACCOUNT
    assert TOKENS.verify(forged({"kid": "next"}, key=NEXT_KEY)).account_id == ACCOUNT


def test_a_token_of_one_kind_of_key_is_none_of_the_other() -> None:
    for token in (TOKENS.issue(ACCOUNT, SESSION), forged({"kid": None}, SECRET * 2, "HS512")):
        with pytest.raises(TokenInvalid):
            SHARED.verify(token)
    with pytest.raises(TokenInvalid):
        TOKENS.verify(SHARED.issue(ACCOUNT, SESSION))


def test_a_sealed_key_opens_with_its_own_secret_only() -> None:
    key = generate(SECRET)
    assert unseal(key, SECRET).private_bytes_raw() not in key.sealed
    with pytest.raises(WrongSecretError):
        unseal(key, "t" * 32)


def test_a_refresh_token_has_one_successor_that_only_the_server_can_tell() -> None:
    tokens, first = RefreshTokens(SECRET), RefreshTokens(SECRET).first()
    assert tokens.after(first) == tokens.after(first)
    assert len({first, tokens.first(), tokens.after(first), tokens.after(tokens.after(first)), RefreshTokens("t").after(first)}) == 5
    assert {len(token) for token in (first, tokens.after(first))} == {LENGTH}
    assert first.encode() not in digest(first)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(forged(key=NEXT_KEY), id="other key"),
        pytest.param(forged(key=KEY.public_key().public_bytes_raw(), algorithm="HS256"), id="public key as secret"),
        pytest.param(forged({"kid": None}), id="no kid"),
        pytest.param(forged({"kid": "unknown"}), id="unknown kid"),
        pytest.param(forged({"kid": "../../dev/null"}), id="path as kid"),
        pytest.param(forged({"jku": "https://example.com/jwks.json"}), id="jku"),
        pytest.param(forged({"x5u": "https://example.com/x.pem"}), id="x5u"),
        pytest.param(forged({"jwk": {"kty": "OKP"}}), id="jwk"),
        pytest.param(forged(sid=None), id="no sid"),
        pytest.param(forged(sid="1"), id="sid not an id"),
        pytest.param(forged(sub=7), id="sub a number"),
        pytest.param(forged(exp=int(time.time()) + 48 * 3600), id="too long a life"),
        pytest.param("", id="empty"),
        pytest.param("a.b.c", id="garbage"),
        pytest.param("x" * 5000, id="too long"),
        pytest.param(jwt.encode({"sub": str(ACCOUNT)}, "", "none"), id="alg none"),
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
    for position in (Position(key, uuid4()), Position(key, uuid4(), "'café' | 'naïv'")):
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


def verify_password(password: str, hashed: str, *, pepper: str) -> bool:
    return any(bcrypt.checkpw(each.encode(), hashed.encode()) for each in digests(password, pepper))


@pytest.mark.parametrize("password", ["securepass123", "x" * 73, "x" * 1024, "nul\0inside", "pässwörd", " spaces "], ids=range(6))
def test_a_password_verifies_against_its_own_hash_only(password: str) -> None:
    hashed = hash_password(password, pepper="p", cost=4)
    assert verify_password(password, hashed, pepper="p")
    assert not verify_password(password + "x", hashed, pepper="p")
    assert not verify_password(password[:-1], hashed, pepper="p")
    assert not verify_password(password, hashed, pepper="q")


def test_the_hash_for_unknown_accounts_matches_no_password_and_has_the_same_cost() -> None:
    assert unmatched_hash(4).startswith("$2b$04$")
    assert not verify_password("", unmatched_hash(4), pepper="")


@pytest.mark.parametrize(
    ("password", "complaint"),
    [("short12", "at least 8"), ("Password123", "commonest"), ("x" * 1025, "at most 1024 bytes"), ("ü" * 513, "at most 1024 bytes")],
)
def test_a_weak_password_gets_the_reason(password: str, complaint: str) -> None:
    assert complaint in (weakness(password) or "")


def test_a_good_password_has_no_weakness() -> None:
    assert weakness("securepass123") is None
