"""Sessions in the keyring of the desktop, through the package keyring and a backend that keeps entries in a file."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from mercato.sessions import KeyringStore, Session, SessionStore, SessionStoreError

SESSION = Session("access-1", "refresh-1", 1_800_000_000.5, "user-1", "jo@example.com")


class Drawer(KeyringBackend):
    """A keyring as other packages add them: entries in files of a directory. It may be locked."""

    priority = 1
    is_locked = False

    def __init__(self, directory: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # keyring types a part of its API
        self._directory = directory

    def _path(self, service: str, username: str) -> Path:
        if self.is_locked:
            raise KeyringLocked("securepass123")
        return self._directory / f"{service}.{username}"

    def get_password(self, service: str, username: str) -> str | None:
        path = self._path(service, username)
        return path.read_text() if path.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path(service, username).write_text(password)

    def delete_password(self, service: str, username: str) -> None:
        try:
            self._path(service, username).unlink()
        except FileNotFoundError:
            raise PasswordDeleteError from None


@pytest.fixture
def drawer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawer]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "drawer").mkdir()
    before, drawer = keyring.get_keyring(), Drawer(tmp_path / "drawer")
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


def test_a_keyring_keeps_the_session_of_each_profile(drawer: Drawer) -> None:
    store, other = KeyringStore(), KeyringStore("other")
    assert isinstance(store, SessionStore)
    assert store.load() is None
    store.clear()
    store.save(SESSION)
    with store.locked():
        assert store.load() == SESSION
        store.save(SESSION)
    assert other.load() is None
    assert keyring.get_password("mercato", "default") is not None
    store.clear()
    assert store.load() is None
    assert not drawer.is_locked


def test_users_of_one_entry_wait_for_each_other(drawer: Drawer, tmp_path: Path) -> None:
    KeyringStore().save(Session("0", "", 0))

    def count() -> None:
        store = KeyringStore()
        for _ in range(50):
            with store.locked():
                session = store.load()
                assert session is not None
                store.save(Session(str(int(session.access_token) + 1), "", 0))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = KeyringStore().load()
    assert last is not None
    assert last.access_token == "200"
    assert [path.name for path in (tmp_path / "state" / "mercato").iterdir()] == ["keyring-default.lock"]


def test_a_damaged_entry_is_refused(drawer: Drawer) -> None:
    keyring.set_password("mercato", "default", "a session")
    with pytest.raises(SessionStoreError, match="the entry 'default' of the keyring is damaged"):
        KeyringStore().load()
    KeyringStore().save(SESSION)
    assert KeyringStore().load() == SESSION


def test_a_locked_keyring_is_told_without_what_it_says(drawer: Drawer) -> None:
    drawer.is_locked = True
    with pytest.raises(SessionStoreError) as refused:
        KeyringStore().load()
    assert str(refused.value) == "the keyring refused: KeyringLocked"


def test_a_machine_without_a_keyring_is_told_so(drawer: Drawer) -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    with pytest.raises(SessionStoreError, match="keep the session in a file"):
        KeyringStore().load()


def test_a_missing_package_is_named_with_the_command_that_installs_it(drawer: Drawer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SessionStoreError, match=r"pip install 'mercato-client\[keyring\]'"):
        KeyringStore().load()


@pytest.mark.parametrize("profile", ["", "../other", "a/b", ".hidden", "a" * 65, "a b", "a\n"])
def test_a_profile_is_a_plain_name(profile: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        KeyringStore(profile)
