"""Each Python package that `make dist` builds is installed into an empty environment, and shops."""

import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from pathlib import Path

import pytest

import dist
import lock
from support.patience import patient

PURCHASE = ("-I", "-W", "error", str(Path(__file__).with_name("purchase.py")))
CLIENT_NEEDS = {"grpcio", "protobuf", "googleapis-common-protos"}
OF_GRPCIO = {"typing_extensions"}

Buys = Callable[..., None]
Install = Callable[..., Path]


def metadata(wheel: Path) -> dict[str, list[str]]:
    """Return the fields of a wheel's metadata, each with all its values."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        message = HeaderParser().parsestr(archive.read(name).decode())
    return {field: message.get_all(field, []) for field in message}


def wheel_of(release: Path, name: str) -> Path:
    (found,) = release.glob(f"{name}-*.whl")
    return found


@pytest.fixture(scope="module")
def client_programs(release: Path, install: Install) -> Path:
    """The programs of an environment with the client, without extras."""
    return install(str(wheel_of(release, "mercato_client")))


def test_the_client_brings_three_packages_and_shops(client_programs: Path, buys: Buys) -> None:
    listed = "import importlib.metadata, json; print(json.dumps([each.name for each in importlib.metadata.distributions()]))"
    said = subprocess.run([client_programs / "python", "-I", "-c", listed], capture_output=True, check=True)
    assert set(json.loads(said.stdout)) == {"mercato-client", *CLIENT_NEEDS, *OF_GRPCIO}
    buys([str(client_programs / "python"), *PURCHASE])


def test_the_source_archive_of_the_client_shops(release: Path, install: Install, buys: Buys) -> None:
    (archive,) = release.glob("mercato_client-*.tar.gz")
    buys([str(install(str(archive)) / "python"), *PURCHASE])


def test_the_server_has_the_client_of_its_release_and_shops(server_programs: Path, buys: Buys) -> None:
    buys([str(server_programs / "python"), *PURCHASE])


@pytest.mark.parametrize("name", ["mercato_client", "mercato_server"])
def test_a_source_archive_gives_the_same_wheel(name: str, release: Path, tmp_path: Path) -> None:
    (archive,) = release.glob(f"{name}-*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    dist.python_packages(tmp_path / "made", unpacked)
    assert wheel_of(tmp_path / "made", name).read_bytes() == wheel_of(release, name).read_bytes()


@pytest.mark.parametrize("name", ["mercato_client", "mercato_server"])
def test_a_wheel_has_its_package_its_licence_and_nothing_else(name: str, release: Path) -> None:
    package = {"mercato_client": "mercato", "mercato_server": "mercato_server"}[name]
    with zipfile.ZipFile(wheel_of(release, name)) as archive:
        names = archive.namelist()
    assert {each.partition("/")[0] for each in names} == {package, f"{name}-0.1.0.dist-info"}
    assert {f"{package}/py.typed", f"{name}-0.1.0.dist-info/licenses/LICENSE"} <= set(names)
    assert [each for each in names if "__pycache__" in each or "/tests/" in each] == []


def test_client_and_server_are_of_one_version(release: Path) -> None:
    client, server = metadata(wheel_of(release, "mercato_client")), metadata(wheel_of(release, "mercato_server"))
    (version,) = client["Version"]
    assert server["Version"] == [version]
    assert f"mercato-client[cli]=={version}" in server["Requires-Dist"]
    assert client["License-Expression"] == server["License-Expression"] == ["MIT"]
    licences = {(dist.ROOT / folder / "LICENSE").read_bytes() for folder in (".", "clients/python", "clients/typescript")}
    assert len(licences) == 1


def test_the_client_needs_three_packages_and_two_extras_add_more(release: Path) -> None:
    needs = metadata(wheel_of(release, "mercato_client"))["Requires-Dist"]
    assert {need for need in needs if "extra ==" not in need} == {
        "googleapis-common-protos>=1.70",
        "grpcio>=1.76",
        "protobuf<8,>=6.31.1",
    }
    assert {need.partition(">")[0]: need.rpartition("extra == ")[2].strip("'\"") for need in needs if "extra ==" in need} == {
        "rich": "cli",
        "typer": "cli",
        "keyring": "keyring",
    }


def test_stubs_are_made_by_the_oldest_packages_that_the_client_takes() -> None:
    floors = lock.oldest()
    pins = dict(line.split("==") for line in lock.pinned(dist.ROOT / "requirements/stubs.txt") if " ;" not in line)
    assert pins["grpcio-tools"].removesuffix(".0") == floors["grpcio"]
    stubs = list((dist.ROOT / "clients/python/mercato/v1").glob("*_pb2.py"))
    assert stubs
    assert [path for path in stubs if f"# Protobuf Python Version: {floors['protobuf']}\n" not in path.read_text()] == []
    oldest = dict(line.split(" ;")[0].split("==") for line in lock.pinned(dist.ROOT / "requirements/oldest.txt"))
    assert {name: oldest[name].removesuffix(".0") for name in CLIENT_NEEDS} == {name: floors[name] for name in CLIENT_NEEDS}


def test_the_command_without_its_extra_says_in_a_line_what_to_install(client_programs: Path) -> None:
    command = [str(client_programs / "mercato"), "products", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patient())
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "pip install 'mercato-client[cli]'" in line


def test_the_server_adds_its_commands_to_those_of_the_client(server_programs: Path) -> None:
    done = subprocess.run([server_programs / "mercato", "--help"], capture_output=True, text=True, check=True, timeout=patient())
    assert all(f" {command} " in done.stdout for command in ("serve", "up", "verify", "backup"))
