"""Play money: a double of Stripe beside the shop. It is among the tests of a checkout of the repository, and in no installed package."""

import os
import secrets
import socket
import sys
from collections.abc import Container, Mapping
from pathlib import Path

import mercato_server
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.inheritance import python_environ
from mercato_server.embedded import accounts, ports, programs
from mercato_server.embedded.privileges import Account
from mercato_server.embedded.probes import reachable
from mercato_server.embedded.processes import Command, EmbeddedError, Process

OPTION = "--demo-payments"
HOST = "127.0.0.1"
PORT = 12111
"""The first port that is tried."""
MODULE = "support.stripe_double"
KEYS = {"MERCATO_STRIPE_SECRET_KEY": "sk_test_double", "MERCATO_STRIPE_PUBLISHABLE_KEY": "pk_test_double"}
"""The two keys that the double takes."""
REAL = (*KEYS, "MERCATO_STRIPE_WEBHOOK_SECRETS", "MERCATO_STRIPE_URL")
"""Settings of an account at Stripe."""
REQUESTS_PER_S = 10_000


class PlayMoney:
    """A double of Stripe on a port of its own. Its account is a file in the data directory, so it knows payments after a restart."""

    def __init__(self, data_dir: Path, edge: EdgeSettings) -> None:
        """Prepare, for a shop behind an edge on this machine; raises EmbeddedError if there is no double."""
        self._tests = _tests()
        self._directory = data_dir / "play-money"
        self._log = data_dir / "log" / "play-money.log"
        self._webhook_url = _webhook_url(edge)
        self._webhook_secret = f"whsec_{secrets.token_hex(16)}"
        self._listener: socket.socket | None = None

    @property
    def announcement(self) -> str:
        """Return the line that tells the operator of it."""
        return f"play money {self._url()}  (a double of Stripe takes payments; no card is charged)\n"

    def listen(self, taken: Container[int]) -> None:
        """Listen on a free port that is none of the taken ones, until `close`; raises EmbeddedError.

        The double inherits the socket. So its port stays, and connections wait, while it is started again.
        """
        self._listener = ports.listen_on_first_free(HOST, PORT, taken)

    def close(self) -> None:
        """Give the port back."""
        if self._listener is not None:
            self._listener.close()

    def _socket(self) -> socket.socket:
        if self._listener is None:
            raise RuntimeError("play money has no port yet")
        return self._listener

    def _url(self) -> str:
        return f"http://{HOST}:{self._socket().getsockname()[1]}"

    def settings(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the settings by which a worker reaches the double; raises EmbeddedError if those of an account at Stripe are given."""
        if real := [name for name in REAL if given.get(name)]:
            raise EmbeddedError(f"{OPTION} takes play money, and {real[0]} is set for an account at Stripe; leave one of them out")
        limit = {"MERCATO_STRIPE_REQUESTS_PER_SECOND": str(REQUESTS_PER_S)}
        return {**KEYS, "MERCATO_STRIPE_URL": self._url(), "MERCATO_STRIPE_WEBHOOK_SECRETS": self._webhook_secret, **limit}

    def process(self, account: Account | None) -> Process:
        """Return the process of the double, and make the directory of its file."""
        accounts.make_private(self._directory, account)
        inherited = python_environ()
        path = os.pathsep.join(filter(None, (str(self._tests), inherited.get("PYTHONPATH"))))
        listener = self._socket().fileno()
        own = {"PYTHONPATH": path, "STRIPE_DOUBLE_WEBHOOK_SECRET": self._webhook_secret}
        return Process(
            Command(
                name="play money",
                argv=[
                    *(sys.executable, "-P", "-m", MODULE, "--listener", str(listener)),
                    *("--webhook-url", self._webhook_url, "--file", self._directory / "account.json"),
                ],
                environ=inherited | own,
                inherits=(listener,),
                output=self._log,
                account=account,
                view=programs.view(account, (*programs.python_directories(), self._tests)),
            )
        )


def require_none(data_dir: Path, given: Mapping[str, str]) -> None:
    """Raise EmbeddedError if an account at Stripe is given to a shop that has taken play money: its paid orders have brought none."""
    if given.get("MERCATO_STRIPE_SECRET_KEY") and (data_dir / "play-money" / "account.json").exists():
        cure = "choose another directory with --data-dir"
        raise EmbeddedError(f"the shop in {data_dir} has taken play money, and MERCATO_STRIPE_SECRET_KEY is set for real money; {cure}")


def _webhook_url(edge: EdgeSettings) -> str:
    host = reachable(edge.listen_host)
    return f"{'https' if edge.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{edge.port}/webhooks/payments/stripe"


def _tests() -> Path:
    """Return the directory of the tests; raises EmbeddedError if the package is not that of a checkout."""
    tests = Path(mercato_server.__file__).resolve().parents[2] / "tests"
    if not tests.joinpath(*MODULE.split("."), "__main__.py").is_file():
        raise EmbeddedError(f"{OPTION} needs a checkout of the repository, whose tests have the double of Stripe; run `make run` there")
    return tests
