"""The programs of the tests, compiled against the built package, and one shop for them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.conftest import scale  # noqa: F401 - a fixture
from fences import fences
from ports import free_port
from support import needs
from support.certificates import Certificate, certificate
from support.mercato_up import Up, running
from support.patience import patient

PACKAGE = Path(__file__).parents[2] / "clients/typescript"
DOCUMENTATION = PACKAGE.parents[1] / "docs/typescript.md"
ARGUMENTS = 'const [url = "", email, password] = decodeURIComponent(location.hash.slice(1)).split(",");'
USE = """
const done = email && password ? shop.login(email, password) : shop.cart.getCart();
done.then(() => "done", String).then((text) => (document.body.dataset["result"] = text));
"""
"""The page uses the client of the documentation: with a name and a password it logs in, otherwise it reads the cart."""
PROGRAMS = Path(__file__).parent / "programs"
BUILT = shutil.which("node") and (PACKAGE / "dist/node.js").exists()


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program to its end, which must be good, and return its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=3 * patient())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the programs, which the strict compiler accepts, and the package as its dependency."""
    if not BUILT:
        needs.TYPESCRIPT.skip()
    directory = tmp_path_factory.mktemp("typescript")
    shutil.copytree(PROGRAMS, directory, dirs_exist_ok=True)
    [fence] = [each.code for each in fences(DOCUMENTATION.read_text()) if each.info == "ts"]
    assert '"https://shop.example.com"' in fence
    program = fence.replace('"https://shop.example.com"', "url")
    (directory / "web_documentation.ts").write_text(f"{ARGUMENTS}\n{program}{USE}")
    (directory / "package.json").write_text('{"type": "module"}')
    modules = directory / "node_modules"
    (modules / "@mercato").mkdir(parents=True)
    (modules / "@mercato/client").symlink_to(PACKAGE)
    (modules / "@types").symlink_to(PACKAGE / "node_modules/@types")
    run(PACKAGE / "node_modules/.bin/tsc", cwd=directory)
    return directory


@pytest.fixture(scope="session")
def page_port() -> int:
    """The port of the pages, whose origin the shop allows."""
    return free_port()


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of the shop."""
    return certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def up(page_port: int, own: Certificate) -> Iterator[Up]:
    """A shop behind TLS, whose products have several pages."""
    with running(MERCATO_RATE_LIMITS="off", MERCATO_CORS_ORIGINS=f"http://localhost:{page_port}", **own.environ) as up:
        for _ in range(5):
            up.product(minor_units=1999, stock=10)
        yield up
