"""Run a whole shop under test: `mercato up` in its own process."""

import asyncio
import email
import email.policy
import functools
import itertools
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt

from mercato_server.config.settings import Settings
from mercato_server.database.pool import small_pool
from mercato_server.embedded.postgres import Postgres
from mercato_server.security import keyrings
from mercato_server.security.tokens import LIFETIME_MAX_S, Keyring, Tokens
from ports import free_port
from support.limits import BUYERS_WITHOUT_LIMITS
from support.mail_server import token
from support.patience import patient, until_sync
from support.rest_client import HOST, Client, Reply

ADMIN_EMAIL = "admin@example.com"
PASSWORD = "securepass123"
ORIGIN = "http://localhost:3000"
"""Origin from which browsers may call."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Up:
    """A running shop, and the steps that most tests begin with."""

    port: int
    data_dir: Path
    admin: Client
    play_money: str = ""
    """Address of the double of Stripe, if the shop has one."""

    @property
    def anyone(self) -> Client:
        """A client without a token."""
        return self.admin.anonymous()

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def database(self) -> str:
        """The URL of the shop's database."""
        return Postgres(self.data_dir).url()

    @property
    def secret(self) -> str:
        """The SECRET_KEY of the shop."""
        return (self.data_dir / "secret_key").read_text().strip()

    @functools.cached_property
    def keyring(self) -> Keyring:
        """The keys that sign tokens."""
        settings = Settings(database_url=self.database, secret_key=self.secret)
        return asyncio.run(_keyring(settings))

    def lasting(self) -> "Up":
        """Return the shop with a token of its administrator that lasts a day; tests/rest can take longer than a login's ten minutes."""
        session_id = jwt.decode(self.admin.token, options={"verify_signature": False})["sid"]
        lasting = Tokens(self.keyring, LIFETIME_MAX_S).issue(UUID(self.admin.id), UUID(session_id))
        return replace(self, admin=replace(self.admin, token=lasting))

    def log(self, name: str) -> str:
        return (self.data_dir / "log" / name).read_text(errors="replace")

    def buyer(self) -> Client:
        """Sign up a new account and log in."""
        address = f"buyer-{next(_numbers)}@example.com"
        signup = self.anyone.post("/signup", {"email": address, "password": PASSWORD, "full_name": "Jo Doe"})
        assert signup.status == 201, signup
        return self.anyone.login(address, PASSWORD)

    def product(self, **fields: Any) -> dict[str, Any]:
        """Create a product."""
        return created(self.admin.post("/products", draft(**fields)))

    def picture(self, content: bytes = b"") -> dict[str, Any]:
        """Upload a picture, and return its upload once it is settled."""
        from support.picture_files import encoded, halves

        upload = created(self.admin.post("/v1/pictures:createUpload"))
        sent = self.admin.send("PUT", upload["upload_url"], content or encoded(halves(), "PNG"), [("content-type", "image/png")])
        assert sent.status == 200, sent
        path = f"/v1/pictureUploads/{upload['id']}"
        return until_sync(lambda: self._settled(path), "the upload is verified") or {}

    def _settled(self, path: str) -> dict[str, Any] | None:
        upload: dict[str, Any] = self.admin.get(path).json
        return None if upload["state"] == "PICTURE_UPLOAD_STATE_PENDING" else upload

    @property
    def picture_name(self) -> str:
        """The name of a rendition of a new picture."""
        return str(self.picture()["picture"]["small"]["url"]).rpartition("/")[2]

    def category(self) -> dict[str, Any]:
        """Create a category."""
        return created(self.admin.post("/categories", {"name": f"Category {next(_numbers)}"}))

    def shipping_zone(self) -> dict[str, Any]:
        """Create a zone with an area that no other zone has."""
        number = next(_numbers)
        area = {"country_code": "DE", "postal_prefix": f"{number:05}"}
        return created(self.admin.post("/v1/shippingZones", {"name": f"Zone {number}", "areas": [area]}))

    def shipping_method(self) -> dict[str, Any]:
        """Create a method with a zone of its own."""
        tiers = [{"price": {"minor_units": "499"}}]
        rate = {"shipping_zone_id": self.shipping_zone()["id"], "basis": "SHIPPING_RATE_BASIS_WEIGHT", "tiers": tiers}
        return created(self.admin.post("/v1/shippingMethods", {"name": f"Method {next(_numbers)}", "rates": [rate]}))

    def promotion(self, **fields: Any) -> dict[str, Any]:
        """Create a promotion of 10 % that needs a code."""
        percent = {"name": "Sale", "kind": "PROMOTION_KIND_PERCENT", "percent_ppm": 100_000, "needs_code": True}
        return created(self.admin.post("/v1/promotions", percent | fields))

    def promotion_code(self, promotion_id: str) -> dict[str, Any]:
        """Create a code of a promotion."""
        made = self.admin.post(f"/v1/promotions/{promotion_id}/codes", {"code": f"CODE-{next(_numbers)}"})
        assert made.status == 200, made
        code: dict[str, Any] = made.json
        return code

    def order(self, buyer: Client, **fields: Any) -> dict[str, Any]:
        """Create a product and buy one unit of it."""
        assert buyer.post(f"/cart/add/{self.product(**fields)['id']}").status == 200
        return created(buyer.post("/orders/checkout"))

    def shipments(self, buyer: Client) -> tuple[str, str, str, str]:
        """Make a paid order of three units, and two shipments of one unit each, of which the second has left.

        Returns the ids of the order, its product, and both shipments.
        """
        product_id = self.product()["id"]
        assert buyer.post(f"/cart/add/{product_id}?quantity=3").status == 200
        order_id = created(buyer.post("/orders/checkout"))["id"]
        path = f"/v1/orders/{order_id}"
        assert self.admin.post(f"{path}:advance", {"status": "ORDER_STATUS_PAID"}).status == 200
        units = {"lines": [{"product_id": product_id, "quantity": 1}]}
        first, second = [str(created(self.admin.post(f"{path}/shipments", units))["id"]) for _ in "12"]
        assert self.admin.post(f"{path}/shipments/{second}:ship").status == 200
        return str(order_id), str(product_id), first, second

    def address(self, buyer: Client, **fields: Any) -> dict[str, Any]:
        """Add an address to those of a buyer."""
        return created(buyer.post("/v1/me/addresses", draft_address(**fields)))

    def mail(self, address: str, subject: str) -> EmailMessage:
        """Return a mail to an address whose subject contains a text, once it has been sent."""

        def found() -> list[EmailMessage]:
            return [message for message in self._mails() if message["To"] == address and subject in message["Subject"]]

        return until_sync(found, f"a mail {subject!r} to {address}")[0]

    def _mails(self) -> Iterator[EmailMessage]:
        for path in (self.data_dir / "mail").glob("*.eml"):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            yield message

    def token(self, address: str, subject: str) -> str:
        """Return the token of such a mail."""
        return token(self.mail(address, subject))

    def stock(self, product_id: str) -> int:
        """Return the units of a product that can be sold."""
        return int(self.anyone.get(f"/products/{product_id}").json["stock"])


async def _keyring(settings: Settings) -> Keyring:
    async with small_pool(settings.database_url) as pool:
        return await keyrings.load(pool, settings)


def created(reply: Reply) -> dict[str, Any]:
    """Return the resource that a request created."""
    assert reply.status == 201, reply
    resource: dict[str, Any] = reply.json
    return resource


def draft(*, name: str = "", minor_units: int = 1999, stock: int = 10, **fields: Any) -> dict[str, Any]:
    """Return the JSON of a product to create, with a unique name unless it is given one."""
    return {"name": name or f"Ball {next(_numbers)}", "price": {"minor_units": str(minor_units)}, "stock": stock, **fields}


def draft_address(**fields: Any) -> dict[str, Any]:
    """Return the JSON of an address to create, in Ghana."""
    postal = {"country_code": "GH", "recipient": "Jo Doe", "street_lines": ["1 Independence Ave"], "city": "Accra"}
    return {"postal_address": postal, **fields}


@contextmanager
def running(*more: str, python: str = sys.executable, **environ: str) -> Iterator[Up]:
    """Run `mercato up` of an empty shop with an administrator, and with more options, with a Python that has the server.

    After the block, Ctrl-C must end it, and its logs must have no internal errors.
    """
    with running_demo("--no-demo", *more, python=python, **environ) as up:
        yield up


@contextmanager
def running_demo(*more: str, python: str = sys.executable, **environ: str) -> Iterator[Up]:
    """Run `mercato up` of the demo shop in the same way, with a Python that has the server."""
    directory = Path(tempfile.mkdtemp(prefix="mercato-rest-"))
    directory.chmod(0o711)  # for root, PostgreSQL runs as another user
    port = free_port()
    logs = {"MERCATO_ACCESS_LOG_REFUSED": "100"}  # tests look for the calls that were refused
    env = {**os.environ, "MERCATO_BCRYPT_COST": "4", **logs, **BUYERS_WITHOUT_LIMITS, "MERCATO_ADMIN_PASSWORD": PASSWORD, **environ}
    trust = Path(environ["MERCATO_TLS_CERT"]) if "MERCATO_TLS_CERT" in environ else None
    command = [python, "-m", "mercato_server"]
    options = ["--workers", "2", "--port", str(port), "--data-dir", str(directory), *more]
    errors = directory / "up.log"
    try:
        with errors.open("w") as log, subprocess.Popen([*command, "up", *options], env=env, stdout=subprocess.PIPE, stderr=log) as process:
            try:
                said = _wait_until_ready(process, errors, f"ready http{'s' * bool(trust)}://{HOST}:{port}\n")
                subprocess.run(
                    [*command, "admin", "create", ADMIN_EMAIL, "--data-dir", directory], env=env, check=True, capture_output=True
                )
                yield Up(port, directory, Client(port, trust=trust).login(ADMIN_EMAIL, PASSWORD), play_money(said.splitlines()))
                process.send_signal(signal.SIGINT)
                assert process.wait(patient()) == 0, errors.read_text()
            finally:
                process.kill()
        assert [line for line in errors.read_text().splitlines() if " before a backup: " not in line] == []
        # A shop with few connections is attacked, and sheds calls of the attacker. A bucket may answer too late.
        may_refuse = {"MERCATO_CONNECTIONS", "MERCATO_PICTURES_S3_BUCKET"} & environ.keys()
        _require_no_internal_errors(directory / "log", {503, 504} if may_refuse else {504})
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_ready(process: "subprocess.Popen[bytes]", errors: Path, ready: str) -> str:
    """Return the shop's output up to the line that says so."""
    assert process.stdout is not None
    deadline, said = time.monotonic() + patient(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while ready.encode() not in said:
            assert selector.select(deadline - time.monotonic()), f"not ready in time: {said!r} {errors.read_text()}"
            read = os.read(process.stdout.fileno(), 4096)
            assert read, f"ended before it was ready: {said!r} {errors.read_text()}"
            said += read
    return said.decode()


def play_money(said: Iterable[str]) -> str:
    """Return the address of the double of Stripe of which `mercato up` has told, empty if there is none."""
    lines = [line for line in said if line.startswith("play money ")]
    return lines[0].split()[2] if lines else ""


def _require_no_internal_errors(logs: Path, expected: set[int]) -> None:
    """Check that no call was answered with an error of the server that is not expected, as an exceeded deadline is."""
    calls = [json.loads(line) for line in (logs / "access.log").read_text().splitlines()]
    assert [call for call in calls if call["status"] >= 500 and call["status"] not in expected] == []
    lines = [line for log in logs.glob("worker-*.log") for line in log.read_text().splitlines()]
    assert [line for line in lines if "unexpectedly" in line] == []
