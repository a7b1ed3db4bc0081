"""The packages of a release, built once, and a shop that runs from the server's in an environment of its own."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

import dist
from support.mercato_up import Up, draft, running
from support.patience import patient, until_sync

UV = str(Path(sys.executable).with_name("uv"))
ROOT = dist.ROOT
_numbers = itertools.count(1)

Install = Callable[..., Path]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python packages, as `make dist` builds them."""
    into = tmp_path_factory.mktemp("dist")
    dist.python_packages(into, *dist.PROJECTS)
    return into


@pytest.fixture(scope="session")
def install() -> Iterator[Install]:
    """Make an environment with files of packages and what they need, in the versions of requirements/dev.txt, and return its programs."""
    places = Path(tempfile.mkdtemp(prefix="mercato-packages-"))
    places.chmod(0o755)  # for root, PostgreSQL runs as another user
    pinned = ["--constraint", str(ROOT / "requirements/dev.txt"), "--build-constraint", str(ROOT / "requirements/build.txt")]

    def uv(*arguments: str) -> None:
        done = subprocess.run([UV, *arguments], stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def install(*files: str) -> Path:
        place = places / str(next(_numbers))
        uv("venv", "--quiet", "--python", sys.executable, str(place))
        # As pip does: the shop runs as another user, who may not write bytecode there, so each of its processes would compile it.
        uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(place), *pinned, *files)
        return place / "bin"

    yield install
    shutil.rmtree(places)


@pytest.fixture(scope="session")
def server_programs(release: Path, install: Install) -> Path:
    """The programs of an environment with the server."""
    (client,), (server,) = release.glob("mercato_client-*.whl"), release.glob("mercato_server-*.whl")
    return install(f"mercato-client[cli] @ {client.as_uri()}", f"mercato-server[embedded] @ {server.as_uri()}")


@pytest.fixture(scope="session")
def installed_shop(server_programs: Path) -> Iterator[Up]:
    """`mercato up` of the installed server."""
    with running(python=str(server_programs / "python"), MERCATO_RATE_LIMITS="off") as up:
        shop = up.lasting()
        # The first change may be late while other processes load the machine.
        until_sync(lambda: shop.admin.post("/products", draft()).status != HTTPStatus.GATEWAY_TIMEOUT, "an answer to CreateProduct")
        yield shop


@pytest.fixture(scope="session")
def buys(installed_shop: Up) -> Callable[..., None]:
    """Run a program that buys two units of a new product for a new buyer, and check the shop's books afterwards.

    The program gets the shop's port, the product's id, and the buyer's e-mail address.
    """

    def buys(program: list[str], cwd: Path | None = None) -> None:
        product = installed_shop.product(minor_units=1999, stock=10)
        email = f"packages-{next(_numbers)}@example.com"
        command = [*program, f"127.0.0.1:{installed_shop.port}", product["id"], email]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NODE"))}
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=patient())
        assert (done.returncode, done.stderr) == (0, ""), done
        assert installed_shop.stock(product["id"]) == 8
        (order,) = installed_shop.anyone.login(email, "securepass123").get("/orders/my").json["orders"]
        assert (order["total"]["minor_units"], [line["quantity"] for line in order["lines"]]) == ("3998", [2])
        assert order["id"] in done.stdout

    return buys
