"""`mercato login` and the sessions that it keeps, against a real shop and a scripted server."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from subprocess import PIPE, run

import grpc
import pytest
from google.protobuf.message import Message

from mercato.cli.logins import LoginOptions, login
from mercato.cli.profiles import Profile
from mercato.sessions import SessionStoreError
from mercato.v1.auth_pb2 import RefreshRequest
from mercato.v1.shop_pb2 import Shop
from mercato.v1.user_pb2 import ROLE_ADMIN, User
from ports import free_port
from support.certificates import certificate
from support.disks import fill, small_disk
from support.mercato_up import ADMIN_EMAIL, PASSWORD
from support.patience import Within, until_sync
from support.scripted_server import Received, Refused, scripted, tokens
from support.shopkeeper import Shopkeeper
from support.terminal import Terminal

DRAWER = """
from pathlib import Path
from keyring.backend import KeyringBackend

class Drawer(KeyringBackend):
    priority = 1

    def path(self, service, user):
        return Path(__file__).with_name(f"{service}.{user}")

    def get_password(self, service, user):
        return self.path(service, user).read_text() if self.path(service, user).exists() else None

    def set_password(self, service, user, password):
        self.path(service, user).write_text(password)

    def delete_password(self, service, user):
        self.path(service, user).unlink()
"""
"""A backend of the package keyring that keeps entries beside its own file."""


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """The file of the default profile's session."""
    return tmp_path / "mercato/default.session.json"


def log_in(keeper: Shopkeeper, *more: str) -> None:
    """Log in without a terminal."""
    done = with_password(keeper, PASSWORD, *more)
    assert done[0] == 0, done


def refused_soon(keeper: Shopkeeper, **more: str) -> None:
    """Expect that a session has ended. Reads may go on for 250 ms: SECURITY.md."""
    until_sync(lambda: keeper("whoami", **more).returncode == 4, "a refused whoami")


def with_password(keeper: Shopkeeper, password: str, *more: str) -> tuple[int, str]:
    command = [keeper.program, "login", ADMIN_EMAIL, "--password-stdin", *more]
    done = run(command, env=keeper.all_environ(), input=f"{password}\n", capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.fixture
def at_terminal(anyone: Shopkeeper) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: str, **more: str) -> Terminal:
        opened.append(Terminal(arguments, anyone.all_environ(**more), anyone.home))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_a_login_at_a_terminal_asks_hides_the_password_and_lasts(
    anyone: Shopkeeper, at_terminal: Callable[..., Terminal], session: Path
) -> None:
    terminal = at_terminal("login")
    terminal.expect("E-mail: ")
    terminal.types(f"{ADMIN_EMAIL}\n")
    terminal.expect("Password: ")
    terminal.types(f"{PASSWORD}\n")
    assert terminal.ended() == 0, terminal.printed
    assert PASSWORD not in terminal.printed
    assert stat.S_IMODE(session.stat().st_mode) == 0o600
    anyone.environ = {"MERCATO_SERVER": ""}  # the profile has the address
    assert anyone.one("whoami")["email"] == ADMIN_EMAIL
    [current] = [each for each in anyone.json("sessions", "list") if each["current"]]
    assert anyone("sessions", "revoke", current["id"], "--yes").returncode == 0
    refused_soon(anyone)


def test_ctrl_c_at_the_password_ends_quietly_and_gives_the_echo_back(at_terminal: Callable[..., Terminal], session: Path) -> None:
    terminal = at_terminal("login", ADMIN_EMAIL)
    terminal.expect("Password: ")
    assert not terminal.echoes
    terminal.types("\x03")
    assert terminal.ended() == 130
    assert terminal.echoes
    assert "Traceback" not in terminal.printed
    assert not session.exists()


def test_without_a_terminal_nothing_is_asked(anyone: Shopkeeper) -> None:
    done = run([anyone.program, "login"], env=anyone.all_environ(), stdin=PIPE, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"MERCATO_TOKEN" in done.stderr
    product = anyone.up.product()["id"]
    refused = run(
        [anyone.program, "products", "delete", product],
        env=anyone.all_environ(MERCATO_TOKEN=anyone.up.admin.token),
        stdin=PIPE,
        capture_output=True,
        check=False,
    )
    assert (refused.returncode, b"--yes" in refused.stderr) == (2, True)
    assert anyone.up.anyone.get(f"/products/{product}").status == 200


def test_a_question_can_be_answered_no(anyone: Shopkeeper, at_terminal: Callable[..., Terminal]) -> None:
    product = anyone.up.product()["id"]
    for answer, code, status in (("n", 1, 200), ("y", 0, 404)):
        terminal = at_terminal("products", "delete", product, MERCATO_TOKEN=anyone.up.admin.token)
        terminal.expect("[y/N]")
        terminal.types(f"{answer}\n")
        assert terminal.ended() == code, terminal.printed
        assert anyone.up.anyone.get(f"/products/{product}").status == status


def test_a_wrong_password_and_no_login_are_4(anyone: Shopkeeper, session: Path) -> None:
    code, told = with_password(anyone, "wrong-password")
    assert code == 4
    assert "CREDENTIALS" in told
    assert not session.exists()
    done = anyone("users", "list")
    assert (done.returncode, done.stdout) == (4, "")
    assert "mercato login" in done.stderr
    assert anyone.refused(4, "users", "list", MERCATO_TOKEN="no-token")["code"] == 16


def test_a_logout_ends_the_session_and_forgets_it(anyone: Shopkeeper, session: Path) -> None:
    log_in(anyone)
    token = json.loads(session.read_text())["access_token"]
    assert anyone("logout").returncode == 0
    assert not session.exists()
    refused_soon(anyone, MERCATO_TOKEN=token)
    assert anyone("logout").returncode == 0


def test_a_session_that_cannot_be_ended_is_forgotten_all_the_same(anyone: Shopkeeper, session: Path, tmp_path: Path) -> None:
    port = free_port()
    log_in(anyone)
    (tmp_path / "mercato/default.profile.json").write_text(json.dumps({"server": f"127.0.0.1:{port}"}))
    assert anyone("logout", "--server", f"127.0.0.1:{port}").returncode == 5
    assert not session.exists()


def test_a_logout_ends_the_stored_session_and_not_that_of_the_environment(anyone: Shopkeeper, session: Path) -> None:
    log_in(anyone)
    token = json.loads(session.read_text())["access_token"]
    buyer = anyone.up.buyer()
    assert anyone("logout", MERCATO_TOKEN=buyer.token).returncode == 0
    assert not session.exists()
    refused_soon(anyone, MERCATO_TOKEN=token)
    assert anyone("whoami", MERCATO_TOKEN=buyer.token).returncode == 0


def test_a_logout_at_another_server_leaves_the_session(anyone: Shopkeeper, session: Path) -> None:
    log_in(anyone)
    assert anyone("logout", "--server", f"127.0.0.1:{free_port()}").returncode == 0
    assert session.exists()
    assert anyone.one("whoami")["email"] == ADMIN_EMAIL


def test_a_token_that_no_header_can_hold_needs_a_login(anyone: Shopkeeper) -> None:
    for token in ("é", "a b", "a\nb"):
        assert "MERCATO_TOKEN" in anyone.refused(4, "whoami", MERCATO_TOKEN=token)["message"]
    assert anyone("whoami", MERCATO_TOKEN=f"{anyone.up.buyer().token}\n").returncode == 0


def test_a_login_takes_text_alone(anyone: Shopkeeper, session: Path) -> None:
    for email, password in (("\udcff", b"x"), ("jo@example.com", b"\xff")):
        command = [anyone.program, "login", email, "--password-stdin"]
        done = run(command, env=anyone.all_environ(), input=password, capture_output=True, check=False)
        assert (done.returncode, done.stdout, b"UTF-8" in done.stderr) == (2, b"", True)
    assert not session.exists()


def answer(received: Received) -> Message:
    if received.name in {"Login", "Refresh"}:
        return tokens(1)
    return User(id="u", email="jo@example.com", role=ROLE_ADMIN) if received.name == "GetMe" else Shop(currency_code="EUR")


def test_profiles_have_sessions_of_their_own_and_no_other_server_gets_a_token(anyone: Shopkeeper) -> None:
    with scripted(answer) as other:
        address = f"127.0.0.1:{other.port}"
        log_in(anyone)
        log_in(anyone, "--profile", "other", "--server", address)
        anyone.environ["MERCATO_SERVER"] = ""
        assert anyone.one("whoami", "--profile", "other")["email"] == "jo@example.com"
        assert anyone.one("whoami")["email"] == ADMIN_EMAIL
        assert [call.token for call in other.calls("GetMe")] == ["access-1"]
        assert anyone.one("whoami", "--server", address)["email"] == "jo@example.com"  # with the default profile
        assert other.calls("GetMe")[-1].token == ""
        assert anyone.one("whoami", "--profile", "absent", "--server", address)["email"] == "jo@example.com"
        assert other.calls("GetMe")[-1].token == ""
    for name in ("../default", ".hidden", "a/b", "x" * 65):
        assert anyone.refused(2, "whoami", "--profile", name)["code"] == 3


def test_a_login_that_moves_a_profile_leaves_no_session_beside_another_address(
    anyone: Shopkeeper, session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise SessionStoreError("as on a full disk")

    log_in(anyone)
    with scripted(answer) as other, monkeypatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(session.parent.parent))
        patched.setattr(Profile, "save", fail)
        patched.setattr("sys.stdin", StringIO("x\n"))
        options = LoginOptions(
            "jo@example.com", f"127.0.0.1:{other.port}", None, keyring=False, password_stdin=True, as_json=False, timeout_s=None
        )
        with pytest.raises(SessionStoreError):
            login(options)
        assert other.counts["Login"] == 1
    assert not session.exists()
    assert anyone.refused(4, "whoami")["code"] == 16


def test_commands_at_once_share_a_session_that_expires(anyone: Shopkeeper, session: Path) -> None:
    spent: set[str] = set()

    def once(received: Received) -> Message:
        if received.name == "Refresh":
            token = RefreshRequest.FromString(received.body).refresh_token
            if token in spent:
                raise Refused(grpc.StatusCode.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID")
            spent.add(token)
            return tokens(len(spent) + 1)
        return answer(received)

    with scripted(once) as shop, ThreadPoolExecutor(6) as threads:
        log_in(anyone, "--server", f"127.0.0.1:{shop.port}")
        session.write_text(session.read_text().replace('"expires_at": ', '"expires_at": 1e9, "was": '))
        anyone.environ["MERCATO_SERVER"] = ""
        done = list(threads.map(lambda _: anyone("whoami"), range(6)))
        assert [each.returncode for each in done] == [0] * 6, done
        assert shop.counts["Refresh"] == 1
        assert {call.token for call in shop.calls("GetMe")} == {"access-2"}
    assert json.loads(session.read_text())["refresh_token"] == "refresh-2"


def test_a_keyring_keeps_the_session_instead_of_a_file(anyone: Shopkeeper, session: Path, tmp_path: Path) -> None:
    (tmp_path / "drawer.py").write_text(DRAWER)
    anyone.environ |= {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "drawer.Drawer", "XDG_STATE_HOME": str(tmp_path / "state")}
    log_in(anyone)
    log_in(anyone, "--keyring")
    assert not session.exists()  # the login before has gone from the file
    assert '"access_token"' in (tmp_path / "mercato.default").read_text()
    assert json.loads(anyone.started("whoami", "--json").stdout)["email"] == ADMIN_EMAIL
    assert anyone.started("logout").returncode == 0
    assert not (tmp_path / "mercato.default").exists()
    anyone.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"
    code, told = with_password(anyone, PASSWORD, "--keyring")
    assert code == 4
    assert "no keyring" in told


def test_a_session_that_is_corrupt_or_that_others_can_read_is_refused(anyone: Shopkeeper, session: Path) -> None:
    log_in(anyone)
    kept = session.read_text()
    for content in ("", "{", "[]", '{"access_token": 1}', "\x00\x01"):
        session.write_text(content)
        assert str(session) in anyone.refused(4, "whoami")["message"]
    session.write_text(kept)
    session.chmod(0o644)
    assert str(session) in anyone.refused(4, "whoami")["message"]
    session.chmod(0o600)
    assert anyone.one("whoami")["email"] == ADMIN_EMAIL


def test_a_profile_that_cannot_be_read_is_told(anyone: Shopkeeper, tmp_path: Path) -> None:
    log_in(anyone)
    (tmp_path / "mercato/default.profile.json").write_text("{")
    assert "default.profile.json" in anyone.refused(2, "whoami")["message"]


def test_a_login_on_a_full_disk_is_told(anyone: Shopkeeper, tmp_path: Path) -> None:
    with small_disk(tmp_path, megabytes=4) as disk:
        fill(disk)
        anyone.environ["XDG_CONFIG_HOME"] = str(disk)
        code, told = with_password(anyone, PASSWORD)
        assert code == 4
        assert "space" in told
        assert "Traceback" not in told


def test_a_wrong_address_is_named_within_a_second(anyone: Shopkeeper, within: Within) -> None:
    for server in (f"127.0.0.1:{free_port()}", "http://absent.invalid"):
        began = time.monotonic()
        error = anyone.refused(5, "whoami", "--server", server, "--timeout", "30")
        assert time.monotonic() - began < within(1)
        assert server.removeprefix("http://") in error["message"]
    for server in ("", "a b", "ftp://x", "http://x/path", "127.0.0.1:port"):
        assert anyone("whoami", "--server", server or "://").returncode == 2


def test_tls_against_plaintext_and_back_are_told(anyone: Shopkeeper, tmp_path: Path) -> None:
    made = certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(made.key.read_bytes(), made.path.read_bytes())])
    with scripted(answer, credentials) as other:
        for server in (f"https://127.0.0.1:{anyone.up.port}", f"http://127.0.0.1:{other.port}", f"https://127.0.0.1:{other.port}"):
            done = anyone.started("whoami", "--server", server, "--timeout", "5", "--json")
            assert (done.returncode, done.stdout) == (5, "")
            assert json.loads(done.stderr)["code"] == 14  # and no line of gRPC's own log
        trusted = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(made.path)}
        assert anyone.started("whoami", "--server", f"https://localhost:{other.port}", **trusted).returncode == 0
