"""The npm package that `make dist` packs is installed into an empty directory, and shops from Node by each of its entries."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dist
from support import needs
from support.patience import patient

PURCHASE = Path(__file__).with_name("purchase.mjs")
HIDDEN = "import('@mercato/client/dist/wire.js').then(() => process.exit(3), (error) => console.log(error.code))"
pytestmark = needs.TYPESCRIPT.unless(shutil.which("npm") and (dist.TYPESCRIPT / "dist/node.js").exists())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packed = dist.npm_package(tmp_path_factory.mktemp("npm"))
    assert packed is not None
    return packed


@pytest.fixture(scope="module")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project in an empty directory that has the package and what it needs."""
    place = tmp_path_factory.mktemp("project")
    (place / "package.json").write_text('{"private": true, "type": "module"}')
    shutil.copy(PURCHASE, place)
    command = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", str(package)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=patient())
    assert done.returncode == 0, done
    yield place
    shutil.rmtree(place)


def test_the_package_holds_what_it_exports_and_no_tests(package: Path) -> None:
    with tarfile.open(package) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        described = archive.extractfile("package/package.json")
        assert described is not None
        exports = json.load(described)["exports"]
    assert {"README.md", "LICENSE", "package.json"} <= names
    assert set(exports) == {".", "./web", "./node", "./package.json"}
    files = {path.removeprefix("./") for entry in exports.values() if isinstance(entry, dict) for path in entry.values()}
    assert len(files) == 6
    assert files <= names
    assert [name for name in names if name.endswith(".ts") and not name.endswith(".d.ts")] == []


def test_the_package_needs_three_packages(project: Path) -> None:
    manifest = json.loads((project / "node_modules/@mercato/client/package.json").read_text())
    assert set(manifest["dependencies"]) == {"@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"}
    installed = {path.parent.relative_to(project / "node_modules").as_posix() for path in project.glob("node_modules/@*/*/package.json")}
    assert installed == {"@mercato/client", *manifest["dependencies"]}


@pytest.mark.parametrize("entry", ["node", "web"])
def test_the_package_shops(entry: str, project: Path, buys: Callable[..., None]) -> None:
    buys(["node", PURCHASE.name, entry], cwd=project)


def test_modules_within_the_package_cannot_be_imported(project: Path) -> None:
    command = ["node", "-e", HIDDEN]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=patient())
    assert (done.returncode, done.stdout) == (0, "ERR_PACKAGE_PATH_NOT_EXPORTED\n"), done
