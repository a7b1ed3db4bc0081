"""The table of all settings has the variables that the code reads, with their readers and defaults; secrets may come from files."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import settings as table
from mercato_server.config import secret_files
from mercato_server.config.edge_settings import EdgeSettings
from mercato_server.config.environment import ConfigError
from mercato_server.config.secret_files import SECRETS, VARIABLES
from mercato_server.config.settings import Settings
from mercato_server.config.variables import Reader
from mercato_server.embedded.up import Options, Shop
from support.patience import patient
from support.shop import SECRET

SERVER = Path(__file__).parents[2] / "server/mercato_server"
TABLES = ("variables.py", "worker_variables.py", "edge_variables.py", "inheritance.py")
"""Modules that have names of variables and read none of them."""
OWN = re.compile(r"(?:MERCATO|OTEL)_[A-Z0-9_]*[A-Z0-9]|DATABASE_URL|SECRET_KEY|ALGORITHM|ACCESS_TOKEN_EXPIRE_MINUTES")
SYSTEM = {"NOTIFY_SOCKET"}
"""Variables that the system defines: here that of systemd."""
GOOD = {"DATABASE_URL": "postgresql://x", "SECRET_KEY": SECRET}
DATABASE_URL = "postgresql://shop:pass@db/shop"
EVERYTHING = GOOD | {
    "DATABASE_URL": "postgresql:///shop",
    "MERCATO_STRIPE_SECRET_KEY": "sk_test_123456",
    "MERCATO_STRIPE_PUBLISHABLE_KEY": "pk_test_123456",
    "MERCATO_TAX_PROVIDER_URL": "https://taxes.example.com",
    "MERCATO_TAX_PROVIDER_SECRET": SECRET,
    "MERCATO_PASSWORD_PEPPER": SECRET,
    "MERCATO_PICTURES_DIR": "/srv/pictures",
    "MERCATO_PICTURES_S3_BUCKET": "pictures",
    "MERCATO_PICTURES_S3_ACCESS_KEY_ID": "key",
    "MERCATO_PICTURES_S3_SECRET_ACCESS_KEY": "secret",
    "MERCATO_UPSTREAM_WORKERS": "2",
    "MERCATO_TRACING": "on",
}
"""Settings whose presence lets others be read."""


class Recorder(dict[str, str]):
    """An environment that records the names of which it was asked."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


def names_in_code() -> Iterator[str]:
    """Yield the names of variables in the code: our own as any text, others where an environment is asked for them."""
    for path in SERVER.rglob("*.py"):
        if path.parent.name == "config" and path.name in TABLES:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and OWN.fullmatch(node.value):
                yield node.value
            elif isinstance(node, ast.Call) and re.search(r"\benv(iron)?\.get$|\bgetenv$", ast.unparse(node.func)):
                yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))
            elif isinstance(node, ast.Subscript) and re.search(r"\benv(iron)?$", ast.unparse(node.value)):
                yield from ([str(node.slice.value)] if isinstance(node.slice, ast.Constant) else [])


def test_the_table_has_each_variable_that_the_code_reads_and_no_other() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names))
    assert set(names_in_code()) - SYSTEM == set(names)


@pytest.mark.parametrize(("read", "reader"), [(Settings.from_environ, Reader.WORKER), (EdgeSettings.from_environ, Reader.EDGE)])
def test_the_table_tells_which_process_reads_a_variable(read: object, reader: Reader) -> None:
    env = Recorder(EVERYTHING)
    assert callable(read)
    read(env)
    assert env.asked == {variable.name for variable in VARIABLES if reader in variable.readers}


def test_a_variable_that_is_set_to_its_default_changes_nothing() -> None:
    checked = [variable for variable in VARIABLES if variable.default]
    assert len(checked) > 40
    edge = EdgeSettings.from_environ({})
    for variable in checked:
        others = {name: value for name, value in EVERYTHING.items() if name != variable.name}
        assert Settings.from_environ(others | {variable.name: variable.default}) == Settings.from_environ(others), variable.name
        assert EdgeSettings.from_environ({variable.name: variable.default}) == edge, variable.name


def test_the_page_of_settings_is_up_to_date() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.page(), "run: make settings"
    assert table.page().count("\n| `") == len(VARIABLES)


def test_the_pages_name_no_setting_that_does_not_exist() -> None:
    known = {variable.name for variable in VARIABLES}
    known |= {f"{name}_FILE" for name in SECRETS} | {"MERCATO_ADDRESS", "MERCATO_WORKERS"}  # the latter are those of compose.yaml
    known |= {"MERCATO_PROFILE", "MERCATO_SERVER", "MERCATO_TOKEN"}  # of the command line, a client
    root = table.PAGE.parents[1]
    for page in (root / "README.md", root / "compose.yaml", *root.glob("docs/*.md"), *root.glob("deploy/[ks]*/*")):
        named = {name for name in re.findall(r"MERCATO_[A-Z0-9_]+", page.read_text(encoding="utf-8")) if not name.endswith("_")}
        assert named <= known, page.name


def secret_file(directory: Path, content: bytes) -> str:
    path = directory / "secret"
    path.write_bytes(content)
    return str(path)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path, f"{DATABASE_URL}\n".encode())
    assert secret_files.read({"DATABASE_URL_FILE": path, "OTHER_FILE": "kept"}) == {"DATABASE_URL": DATABASE_URL, "OTHER_FILE": "kept"}
    assert secret_files.read({"DATABASE_URL_FILE": "", "SECRET_KEY": "x"}) == {"SECRET_KEY": "x"}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_and_its_file_are_not_both_given(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} and {name}_FILE are both set") as raised:
        secret_files.read({name: "hidden", f"{name}_FILE": secret_file(tmp_path, b"other")})
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must have a text"),
        (b"\n", "must have a text"),
        (b"a\0b", "NUL"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 65_537, "more than 65536 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as raised:
        secret_files.read({"SECRET_KEY_FILE": secret_file(tmp_path, content)})
    assert str(raised.value).startswith("SECRET_KEY_FILE is ")


def test_a_file_that_is_absent_or_a_directory_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=reason) as raised:
            secret_files.read({"MERCATO_SMTP_URL_FILE": str(path)})
        assert str(path) in str(raised.value)


def test_every_command_reads_the_files_of_secrets(tmp_path: Path) -> None:
    path = secret_file(tmp_path, b"mysql://shop@db/shop")
    env = {"PATH": os.environ["PATH"], "DATABASE_URL_FILE": path}
    command = [sys.executable, "-m", "mercato_server", "migrate"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=patient())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mercato: DATABASE_URL is no PostgreSQL URL")
    env |= {"DATABASE_URL": DATABASE_URL}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=patient())
    assert done.stderr == "mercato: DATABASE_URL and DATABASE_URL_FILE are both set; leave one of them out\n"


def test_the_file_of_mercato_up_may_name_files_of_secrets(tmp_path: Path) -> None:
    url = "smtps://shop:pass@mail.example.com"
    (tmp_path / "shop.env").write_text(f"MERCATO_SMTP_URL_FILE={secret_file(tmp_path, url.encode())}\n")
    shop = Shop(Options(data_dir=tmp_path / "data", env_file=tmp_path / "shop.env", workers=1))
    given = shop._given()
    os.close(shop._shared_memory)
    assert given["MERCATO_SMTP_URL"] == url
    assert "MERCATO_SMTP_URL_FILE" not in given
