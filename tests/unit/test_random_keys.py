"""A secret must be random bytes: one that only looks like them is refused."""

import base64
import hashlib
import random
import secrets

import pytest

from mercato_server.config.environment import ConfigError
from mercato_server.config.random_keys import random_key
from mercato_server.config.settings import Hashing, Settings

BYTES = hashlib.sha256(b"a key of the tests").digest()
ASCENDING = bytes(range(32))
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.mark.parametrize("name", ["SECRET_KEY", "MERCATO_PASSWORD_PEPPER"])
@pytest.mark.parametrize(
    "value",
    [
        BYTES.hex(),
        BYTES.hex().upper(),
        base64.b64encode(BYTES).decode(),
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.urlsafe_b64encode(BYTES).decode().rstrip("="),
        (BYTES + BYTES[::-1]).hex(),
        base64.b64encode(BYTES + BYTES[::-1]).decode(),
    ],
)
def test_random_bytes_are_taken_as_they_stand(name: str, value: str) -> None:
    env = {"DATABASE_URL": "postgresql://x", "SECRET_KEY": BYTES.hex(), name: value}
    settings = Settings.from_environ(env)
    assert {"SECRET_KEY": settings.secret_key, "MERCATO_PASSWORD_PEPPER": settings.hashing.pepper}[name] == value


def test_what_the_named_commands_make_is_always_taken() -> None:
    draws = random.Random(10)  # noqa: S311 - the same keys in each run
    for _ in range(3_000):
        key = draws.randbytes(32)
        for value in (key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode().rstrip("=")):
            assert random_key({"K": value}, "K") == value
    for value in (secrets.token_hex(32), secrets.token_urlsafe(32)):
        assert random_key({"K": value}, "K") == value


@pytest.mark.parametrize(
    "value",
    [
        "short",
        "changeme-changeme-changeme-changeme",
        "a secret of more than thirty-two bytes, with spaces",
        BYTES[:31].hex(),
        BYTES.hex()[:-1],
        base64.b64encode(BYTES[:31]).decode(),
        base64.b64encode(BYTES).decode() + "=",
        f" {BYTES.hex()}",
        f"{BYTES.hex()}\n",
        BYTES.hex()[:43],  # hexadecimal digits, though as many as 32 bytes have letters in base64
        base64.b64encode(BYTES).decode()[:-2] + "!=",
        "ü" * 44,
    ],
)
def test_another_form_is_refused_with_the_commands_that_make_a_key(value: str) -> None:
    with pytest.raises(ConfigError, match="K must be 32 random bytes in base64 or hexadecimal; make one with: openssl rand") as told:
        random_key({"K": value}, "K")
    assert 'python3 -c "import secrets; print(secrets.token_hex(32))"' in str(told.value)
    assert value not in str(told.value)


@pytest.mark.parametrize(
    "value",
    [
        "z" * 43,
        "0" * 64,
        "ab" * 32,
        "changeme-changeme-changeme-changeme-changeme",
        "changeme" * 5 + "chan",
        "correct-horse-battery-staple-and-seven-more0",
        "0123456789abcdef" * 4,
        "00112233445566778899aabbccddeeff" * 2,
        ASCENDING.hex(),
        ASCENDING[::-1].hex(),
        bytes(range(1, 225, 7)).hex(),
        base64.b64encode(ASCENDING).decode(),
        LETTERS[:43],
        LETTERS[20:63],
        LETTERS[::-1][:43],
        (BYTES[:16] * 2).hex(),
        (BYTES[:8] * 4).hex(),
        (BYTES[:20] * 2).hex(),
        (BYTES[:16] + bytes(16)).hex(),
        b"changeme-and-then-some-more-text".hex(),
        base64.b64encode(b"please change this secret key now!\n").decode(),
        "deadbeef" * 8,
        "DEADBEEFCAFE" * 6,
        "Password" * 6,
        "AbCdEfGhIjKlMnOpQrStUvAbCdEfGhIjKlMnOpQrStUv",
    ],
)
def test_a_placeholder_that_has_the_form_of_random_bytes_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="K can be guessed") as told:
        random_key({"K": value}, "K")
    assert value not in str(told.value)


def test_a_pepper_is_optional() -> None:
    assert Hashing.from_environ({}).pepper == Hashing.from_environ({"MERCATO_PASSWORD_PEPPER": ""}).pepper == ""
