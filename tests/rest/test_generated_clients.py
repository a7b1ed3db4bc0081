"""Clients in TypeScript and Python that are generated from the OpenAPI document compile, and shop."""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import needs
from support.mercato_up import Up
from support.patience import patient

CLIENTS = Path(__file__).parents[1] / "clients"
GENERATORS = Path(sys.prefix) / "generators"
"""Made by `make generators`."""
NODE, PYTHON = GENERATORS / "node_modules", GENERATORS / "python/bin"
DOMAIN = "mercato.internal"
_numbers = itertools.count(1)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program to its end, which must be good, and return its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=patient())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def sources(shop_up: Up, tmp_path: Path) -> Path:
    """A directory with the programs that shop and the document of a shop that has one product in stock."""
    shutil.copytree(CLIENTS, tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.json").write_bytes(shop_up.anyone.get("/openapi.json").body)
    shop_up.product(minor_units=1999, stock=10)
    return tmp_path


def check(printed: str) -> None:
    """Check what a program bought, and that it could read why it was refused."""
    said: dict[str, Any] = json.loads(printed)
    assert (said["status"], said["total"], said["lines"]) == ("ORDER_STATUS_PLACED", "1999", [True])
    empty, absent, invalid, stranger, short = said["refused"]
    assert empty == [f"CART_EMPTY of {DOMAIN}", "CART_EMPTY"]
    assert absent == [f"ORDER_NOT_FOUND of {DOMAIN}", f"mercato.v1.Order {said['product_id']}"]
    assert invalid == [f"INVALID_FIELD of {DOMAIN}", "email,password"]
    assert stranger == [f"TOKEN_INVALID of {DOMAIN}"]
    assert short == [f"OUT_OF_STOCK of {DOMAIN}", "OUT_OF_STOCK", "1000 wanted, 9 available"]


@needs.GENERATORS.unless((NODE / ".bin/tsc").exists() and shutil.which("node"))
def test_a_generated_typescript_client_compiles_tells_errors_apart_and_shops(shop_up: Up, sources: Path) -> None:
    (sources / "node_modules").symlink_to(NODE)
    run(NODE / ".bin/openapi-typescript", "openapi.json", "--output", "api.ts", cwd=sources)
    run(NODE / ".bin/tsc", cwd=sources)
    check(run("node", "shop.js", shop_up.base, f"typescript-{next(_numbers)}@example.com", cwd=sources))


@needs.GENERATORS.unless(PYTHON.exists())
def test_a_generated_python_client_compiles_tells_errors_apart_and_shops(shop_up: Up, sources: Path) -> None:
    (sources / "python.yaml").write_text("content_type_overrides: {image/webp: application/octet-stream}\n")  # it knows no pictures
    options = ["--path", "openapi.json", "--output-path", "mercato_rest", "--meta", "none", "--config", "python.yaml", "--fail-on-warning"]
    run(PYTHON / "python", "-m", "openapi_python_client", "generate", *options, cwd=sources)
    run(PYTHON / "python", "-W", "error", "-m", "compileall", "-q", "mercato_rest", cwd=sources)
    check(run(PYTHON / "python", "shop.py", shop_up.base, f"python-{next(_numbers)}@example.com", cwd=sources))
