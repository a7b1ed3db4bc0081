"""A client whose stored session cannot be read, trusted or kept: nothing is sent, the file is named, and a login mends it."""

import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mercato.errors import MercatoError, SessionStoreError
from mercato.sessions import FileStore, Session
from python_client.test_refreshes import Shop
from support.disks import fill, small_disk
from support.python_twins import Twin
from support.scripted_server import Scripted, scripted, tokens


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted(Shop()) as server:
        yield server


def expired() -> Session:
    return Session("access-1", "refresh-1", time.time() - 1)


def make_damaged(path: Path) -> None:
    path.write_text('{"version": 1')
    path.chmod(0o600)


def make_readable(path: Path) -> None:
    FileStore(path).save(expired())
    path.chmod(0o644)


@pytest.mark.parametrize(("spoil", "told"), [(make_damaged, "damaged"), (make_readable, "chmod 600")])
def test_a_file_that_cannot_be_used_is_named_until_a_login_replaces_it(
    twin: Twin, server: Scripted, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    path = tmp_path / "session.json"
    spoil(path)
    with twin.open(server.target, session=FileStore(path)) as client:
        for _ in range(2):
            with pytest.raises(SessionStoreError, match=f"{path}.*{told}") as refused:
                client.cart.get_cart()
            assert isinstance(refused.value, MercatoError)
        assert server.counts == {}
        client.use(tokens(9))
        assert client.cart.get_cart().etag == "access-9"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with twin.open(server.target, session=FileStore(path)) as client:
        assert client.cart.get_cart().etag == "access-9"


def test_a_full_disk_does_not_cost_the_session(twin: Twin, server: Scripted, tmp_path: Path) -> None:
    with small_disk(tmp_path, megabytes=4) as disk:
        store = FileStore(disk / "session.json")
        store.save(expired())
        ballast = fill(disk)
        with twin.open(server.target, session=store) as client:
            with pytest.raises(SessionStoreError, match="No space left"):
                client.cart.get_cart()
            assert server.counts == {}
            ballast.unlink()
            assert client.cart.get_cart().etag == "access-2"
        stored = store.load()
        assert stored is not None
        assert stored.refresh_token == "refresh-2"
    assert server.counts == {"Refresh": 1, "GetCart": 1}
