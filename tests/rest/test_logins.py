"""Logins through the edge: many at once, and beside guesses from another address."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from support.mercato_up import PASSWORD, Up
from support.patience import until_sync
from support.rest_client import Client

_numbers = itertools.count(1)


def signed_up(up: Up) -> str:
    """Sign up a new account; return its address."""
    email = f"login-{next(_numbers)}@example.com"
    assert up.anyone.post("/signup", {"email": email, "password": PASSWORD}).status == 201
    return email


def log_in(client: Client, email: str, password: str = PASSWORD) -> tuple[int, str]:
    """Log in; return status and reason."""
    reply = client.post("/v1/auth:login", {"email": email, "password": password})
    return reply.status, "" if reply.status == 200 else reply.reason


def test_correct_logins_at_once_all_succeed(shop_up: Up) -> None:
    email = signed_up(shop_up)
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda _: log_in(shop_up.anyone, email), range(12))) == {(200, "")}


def test_guesses_from_another_address_do_not_keep_the_owner_out(shop_up: Up) -> None:
    email, home, away = signed_up(shop_up), shop_up.anyone, replace(shop_up.anyone, source="127.0.2.1")
    assert log_in(home, email) == (200, "")
    assert {log_in(away, email, "a wrong guess") for _ in range(6)} == {(401, "INVALID_CREDENTIALS")}
    until_sync(lambda: log_in(away, email, "a wrong guess") == (429, "TOO_MANY_ATTEMPTS"))  # each guess doubles the delay
    assert log_in(home, email) == (200, "")
