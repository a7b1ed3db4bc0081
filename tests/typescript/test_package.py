"""The package: its own tests, the size of a buyer's bundle, and faults in it that its tests must find."""

import gzip
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import needs
from support.patience import patient
from typescript.conftest import BUILT, PACKAGE, run

pytestmark = needs.TYPESCRIPT.unless(BUILT)
BUNDLE_MAX_BYTES = 45_000
BUYER = """
import { connect, isMercatoError, TabStore } from "@mercato/client/web";
const shop = connect(location.origin, { session: new TabStore() });
globalThis.shop = shop;
globalThis.isMercatoError = isMercatoError;
"""
FAULTS = {
    "key renewed on retry": (
        "calls.js",
        'headers.set("idempotency-key", call.key)',
        'headers.set("idempotency-key", crypto.randomUUID())',
        "calls.test.js",
        "a keyed call is repeated with one and the same key",
    ),
    "refresh doubled": (
        "sessions.js",
        "stored.accessToken !== stale.accessToken",
        "false",
        "sessions.test.js",
        "two clients of one store exchange a token once",
    ),
    "token told": (
        "calls.js",
        "`the session was not renewed: ${message}`",
        "`the session was not renewed: ${JSON.stringify(await this.#tokens.load())}`",
        "sessions.test.js",
        "no error has a token in it",
    ),
}
"""File of the package, its text, the faulty text, and the file and the name of the test that must find it."""


@pytest.fixture(scope="module")
def tested() -> Path:
    """The package with its tests compiled, after they passed: types first, then behaviour."""
    run("npm", "test", "--silent", cwd=PACKAGE)
    return PACKAGE / "build"


def test_its_types_and_its_own_tests_pass(tested: Path) -> None:
    assert (tested / "tests/types.js").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, tested: Path, tmp_path: Path) -> None:
    file, sound, faulty, tests, name = FAULTS[fault]
    shutil.copytree(tested, tmp_path / "build")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(PACKAGE / "node_modules")
    source = tmp_path / "build/src" / file
    assert source.read_text().count(sound) == 1
    source.write_text(source.read_text().replace(sound, faulty))
    command = ["node", "--test-reporter=tap", f"--test-name-pattern=^{name}$", f"build/tests/{tests}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=patient())
    assert re.search(rf"^not ok \d+ - {re.escape(name)}$", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_bundle_of_a_buyer_is_small(programs: Path, record_property: Callable[[str, object], None]) -> None:
    (programs / "bundle.js").write_text(BUYER)
    options = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--outfile=bundle.min.js"]
    run(PACKAGE / "node_modules/.bin/esbuild", "bundle.js", *options, cwd=programs)
    size = len(gzip.compress((programs / "bundle.min.js").read_bytes(), 9))
    record_property("bundle_gz_bytes", size)
    assert size <= BUNDLE_MAX_BYTES
