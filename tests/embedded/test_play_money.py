"""`mercato up --demo-payments`: a double of Stripe takes play money beside the shop."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import mercato_server
from embedded.conftest import Run
from embedded.test_reload import reload
from embedded.test_up import QUIET, Supervisor, refusal, stop, until_ready
from embedded.watch import children, gone, unless_ended
from mercato_server.embedded import ports
from ports import free_ports
from support.certificates import Certificate, certificate
from support.mercato_up import ADMIN_EMAIL, PASSWORD, Up, created, play_money
from support.patience import patient, until_sync
from support.rest_client import Client

ENVIRON = QUIET | {"MERCATO_BCRYPT_COST": "4", "MERCATO_ADMIN_PASSWORD": PASSWORD}
REAL = {"MERCATO_STRIPE_SECRET_KEY": "sk_test_0123456789", "MERCATO_STRIPE_PUBLISHABLE_KEY": "pk_test_0123456789"}
STATE = "play-money/account.json"


@pytest.fixture
def directory(data_dir: Path) -> Path:
    return data_dir / "my shop"


@pytest.fixture
def up(directory: Path, port: int, run: Run) -> Callable[..., Supervisor]:
    """Start a shop with play money, under a umask that keeps all others out."""

    def start(*options: object, environ: dict[str, str] | None = None) -> Supervisor:
        arguments = ("--port", port, "--data-dir", directory, "--workers", 1, "--no-demo", "--demo-payments", *options)
        return run("-m", "mercato_server", "up", *arguments, environ=ENVIRON | (environ or {}), options={"umask": 0o077})

    return start


def ready(supervisor: Supervisor, directory: Path, port: int, own: Certificate | None = None) -> Up:
    """Return the shop once it is ready, with its administrator."""
    double = play_money(until_ready(supervisor, port, "https" if own else "http"))
    command = [sys.executable, "-m", "mercato_server", "admin", "create", ADMIN_EMAIL, "--data-dir", str(directory)]
    subprocess.run(command, env=os.environ | ENVIRON, check=False, capture_output=True)
    return Up(port, directory, Client(port, trust=own.path if own else None).login(ADMIN_EMAIL, PASSWORD), double)


def confirm(shop: Up, opened: dict[str, Any], card: str) -> dict[str, Any]:
    """Let the browser of a buyer pay; return the answer of the double."""
    intent, secret = opened["payment"]["provider_ref"], opened["client_secret"]
    form = {"client_secret": secret, "payment_method": card}
    address = f"{shop.play_money}/v1/payment_intents/{intent}/confirm"
    answer = httpx.post(address, data=form, auth=(opened["publishable_key"], ""), trust_env=False, timeout=patient())
    return dict(answer.json())


def bought(shop: Up, card: str = "pm_card_visa") -> dict[str, Any]:
    """Return an order that a card has paid."""
    buyer = shop.buyer()
    order = shop.order(buyer)
    opened = created(buyer.post(f"/v1/orders/{order['id']}/payments"))
    assert confirm(shop, opened, card)["status"] == "succeeded"
    until_sync(lambda: buyer.get(f"/orders/{order['id']}").json["status"] == "ORDER_STATUS_PAID")
    return order


def refunded(shop: Up, order: dict[str, Any], minor_units: int) -> str:
    """Refund a part of an order; return the state of the refund."""
    amount = {"currency_code": "USD", "minor_units": str(minor_units)}
    return str(created(shop.admin.post(f"/v1/orders/{order['id']}/refunds", {"amount": amount}))["state"])


def double_of(supervisor: Supervisor) -> int | None:
    """Return the child that runs the double."""
    for pid in children(supervisor.pid):
        with unless_ended():
            if b"support.stripe_double" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_card_pays_an_order_by_a_webhook_and_all_processes_end(
    scheme: str, directory: Path, port: int, up: Callable[..., Supervisor], tmp_path: Path
) -> None:
    own = certificate(tmp_path) if scheme == "https" else None
    supervisor = up(environ=own.environ if own else {})
    shop = ready(supervisor, directory, port, own)
    assert shop.play_money
    bought(shop)

    def webhooks() -> list[int]:
        calls = [json.loads(line) for line in shop.log("access.log").splitlines()]
        return [call["status"] for call in calls if call["path"] == "/webhooks/payments/stripe"]

    assert set(until_sync(webhooks)) == {200}
    made = [directory / STATE, directory / "log/play-money.log"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o600, 0o600]
    double = double_of(supervisor)
    assert double is not None
    secret = next(line for line in Path(f"/proc/{double}/environ").read_text().split("\0") if "WEBHOOK_SECRET" in line).partition("=")[2]
    assert secret not in Path(f"/proc/{double}/cmdline").read_text()
    stop(supervisor)
    assert gone(double)


def test_the_double_knows_earlier_payments_after_it_was_killed_and_after_a_restart(
    directory: Path, port: int, up: Callable[..., Supervisor]
) -> None:
    first = up()
    shop = ready(first, directory, port)
    order = bought(shop)
    killed = double_of(first)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until_sync(lambda: double_of(first) not in {None, killed})
    assert refunded(shop, order, 100) in {"REFUND_STATE_SUCCEEDED", "REFUND_STATE_REQUESTED"}
    until_sync(lambda: shop.admin.get("/v1/refunds").json["refunds"][0]["state"] == "REFUND_STATE_SUCCEEDED")
    stop(first)
    assert first.stderr is not None
    assert first.stderr.read().startswith("mercato: play money was killed by SIGKILL; starting it again in ")
    second = up()
    shop = ready(second, directory, port)
    assert refunded(shop, order, 200) == "REFUND_STATE_SUCCEEDED"
    payment = shop.admin.get("/v1/payments").json["payments"][0]
    assert payment["refunded"]["minor_units"] == "300"
    bought(shop, "pm_card_mastercard")
    stop(second)


def test_the_next_free_port_is_taken_if_the_usual_one_is_in_use() -> None:
    first = free_ports(3)
    with socket.create_server(("127.0.0.1", first)), ports.listen_on_first_free("127.0.0.1", first, {first + 1}) as listener:
        assert listener.getsockname()[1] == first + 2


def test_an_account_at_stripe_is_refused_beside_play_money_in_any_place(
    directory: Path, up: Callable[..., Supervisor], tmp_path: Path
) -> None:
    file = tmp_path / "settings"
    file.write_text("".join(f"{name}={value}\n" for name, value in REAL.items()))
    for arguments, environ in (((), REAL), (("--env-file", file), {})):  # one after the other: both want the directory
        assert refusal(up(*arguments, environ=environ)) == (
            "mercato: --demo-payments takes play money, and MERCATO_STRIPE_SECRET_KEY is set for an account at Stripe; "
            "leave one of them out\n"
        )
    assert not (directory / "postgres").exists()


def test_an_account_at_stripe_is_refused_in_a_reload_too(directory: Path, port: int, up: Callable[..., Supervisor], tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.touch()
    supervisor = up("--env-file", file)
    shop = ready(supervisor, directory, port)
    file.write_text("".join(f"{name}={value}\n" for name, value in REAL.items()))
    refused = reload(directory)
    assert refused.returncode == 1
    assert "--demo-payments takes play money" in refused.stderr
    file.write_text("MERCATO_LOG_LEVEL=debug\n")
    assert reload(directory).returncode == 0
    bought(shop)
    stop(supervisor)


def test_a_shop_that_has_taken_play_money_takes_no_account_at_stripe(directory: Path, port: int, run: Run) -> None:
    (directory / STATE).parent.mkdir(parents=True)
    (directory / STATE).touch()
    supervisor = run("-m", "mercato_server", "up", "--port", port, "--data-dir", directory, environ=ENVIRON | REAL)
    assert refusal(supervisor) == (
        f"mercato: the shop in {directory} has taken play money, and MERCATO_STRIPE_SECRET_KEY is set for real money; "
        "choose another directory with --data-dir\n"
    )


def test_a_package_without_the_tests_says_what_the_option_needs(directory: Path, port: int, run: Run, tmp_path: Path) -> None:
    shutil.copytree(Path(mercato_server.__file__).parent, tmp_path / "lib/python/site-packages/mercato_server")
    environ = {"PYTHONPATH": str(tmp_path / "lib/python/site-packages")}
    told = refusal(run("-P", "-m", "mercato_server", "up", "--port", port, "--data-dir", directory, "--demo-payments", environ=environ))
    assert told == (
        "mercato: --demo-payments needs a checkout of the repository, whose tests have the double of Stripe; run `make run` there\n"
    )
