"""Stores of sessions: files, locks between processes, and what they refuse."""

import errno
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mercato.sessions import FileStore, MemoryStore, Session, SessionStore, SessionStoreError
from support.disks import fill, small_disk
from support.patience import until_sync

SESSION = Session("access-1", "refresh-1", 1_800_000_000.5, "user-1", "jo@example.com")
NEXT = Session("access-2", "refresh-2", 1_800_000_600.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


def beside(path: Path) -> set[str]:
    """Return the names of the files of a directory."""
    return {each.name for each in path.parent.iterdir()}


@contextmanager
def child(source: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Run a program that imports the stores, until it ends or the block does."""
    command = [sys.executable, "-c", f"import sys, time\nfrom mercato.sessions import *\n{source}", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, path: Path) -> SessionStore:
    stores: dict[str, Callable[[], SessionStore]] = {"memory": MemoryStore, "file": lambda: FileStore(path)}
    return stores[request.param]()


def test_a_store_keeps_the_last_session_until_it_is_cleared(store: SessionStore) -> None:
    assert isinstance(store, SessionStore)
    assert store.load() is None
    store.clear()
    store.save(SESSION)
    assert store.load() == SESSION
    with store.locked():
        assert store.load() == SESSION
        store.save(NEXT)
        store.save(SESSION)
        store.save(NEXT)
    assert store.load() == NEXT
    with store.locked():
        store.clear()
    assert store.load() is None


def test_only_one_thread_at_a_time_holds_the_lock_of_a_store(store: SessionStore) -> None:
    store.save(Session("0", "", 0))

    def count() -> None:
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
    last = store.load()
    assert last is not None
    assert last.access_token == "200"


def test_the_block_of_a_lock_may_end_in_another_thread(store: SessionStore) -> None:
    held = store.locked()
    held.__enter__()
    thread = threading.Thread(target=held.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with store.locked():
        store.save(SESSION)


def test_the_repr_of_a_session_has_no_token() -> None:
    assert repr(SESSION) == "Session(expires_at=1800000000.5, user='user-1', email='jo@example.com')"
    assert pickle.loads(pickle.dumps(SESSION)) == SESSION  # noqa: S301 - our own bytes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_readable_by_its_owner_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "home" / "mercato" / "session.json"
    if umask != 0o777:
        path.parent.mkdir(parents=True)
    with child(
        "os = __import__('os'); os.umask(int(sys.argv[2])); FileStore(sys.argv[1]).save(Session('a', 'r', 1.0))", path, umask
    ) as made:
        made.wait()
    if umask == 0o777 and os.geteuid() != 0:
        pytest.skip("such a umask makes directories that their owner cannot enter")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert FileStore(path).load() == Session("a", "r", 1.0)
    assert beside(path) == {"session.json", "session.json.lock"}


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "config" / "mercato" / "session.json"
    FileStore(path).save(SESSION)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_home_directory_may_be_named_by_its_short_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    FileStore("~/session.json").save(SESSION)
    assert FileStore(tmp_path / "session.json").load() == SESSION


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "session.json").symlink_to(tmp_path / "dotfiles" / "mercato.json")
    FileStore(tmp_path / "session.json").save(SESSION)
    assert (tmp_path / "session.json").is_symlink()
    assert FileStore(tmp_path / "dotfiles" / "mercato.json").load() == SESSION


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o610])
def test_a_file_that_others_may_read_or_write_is_refused_with_the_remedy(path: Path, mode: int) -> None:
    FileStore(path).save(SESSION)
    path.chmod(mode)
    with pytest.raises(SessionStoreError, match=f"chmod 600 {path}"):
        FileStore(path).load()
    FileStore(path).save(NEXT)  # a login replaces it
    assert FileStore(path).load() == NEXT


VALID = {"version": 1, "access_token": "a", "refresh_token": "r", "expires_at": 1, "user": None, "email": None}
WRONG_TIMES: tuple[object, ...] = ("1", None, True, float("nan"), float("inf"), [], 10**400)
WRONG_TEXTS: tuple[object, ...] = (None, 1, ["a"], "a\nauthorization: b", "a\x1b[2J")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "[]",
        '"a"',
        "\0" * 8192,
        "[" * 60_000,
        "{" + " " * 70_000 + "}",
        json.dumps(VALID)[:-1],
        json.dumps(VALID | {"version": 2}),
        *(json.dumps({key: value for key, value in VALID.items() if key != left}) for left in ("version", "access_token", "expires_at")),
        *(json.dumps(VALID | {"expires_at": wrong}) for wrong in WRONG_TIMES),
        *(json.dumps(VALID | {"access_token": wrong}) for wrong in WRONG_TEXTS),
        json.dumps(VALID | {"refresh_token": {}}),
        json.dumps(VALID | {"email": 1}),
    ],
    ids=str.__len__,
)
def test_a_damaged_file_is_refused_and_a_login_replaces_it(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SessionStoreError, match=r"session.json .*log in again"):
        FileStore(path).load()
    assert path.read_text() == content
    FileStore(path).save(SESSION)
    assert FileStore(path).load() == SESSION


def test_bytes_that_are_no_text_are_refused(path: Path) -> None:
    path.write_bytes(bytes(range(256)))
    path.chmod(0o600)
    with pytest.raises(SessionStoreError, match="damaged"):
        FileStore(path).load()


def test_fields_of_a_later_release_are_left_out(path: Path) -> None:
    path.write_text(json.dumps(VALID | {"shoe_size": 43}))
    path.chmod(0o600)
    assert FileStore(path).load() == Session("a", "r", 1.0)


def test_a_place_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("directory", "pipe"):
        with pytest.raises(SessionStoreError, match=name):
            FileStore(tmp_path / name).load()
    with pytest.raises(SessionStoreError, match="directory"):
        FileStore(tmp_path / "directory").save(SESSION)
    (tmp_path / "text").write_text("")
    with pytest.raises(SessionStoreError, match="text"):
        FileStore(tmp_path / "text" / "session.json").save(SESSION)


def test_a_full_disk_is_noticed_before_the_refresh_token_is_spent(tmp_path: Path) -> None:
    with small_disk(tmp_path, megabytes=4) as disk:
        store = FileStore(disk / "session.json")
        store.save(SESSION)
        ballast = fill(disk)
        reached = False
        with pytest.raises(SessionStoreError, match="No space left"), store.locked():
            reached = True
        assert not reached
        assert store.load() == SESSION
        ballast.unlink()
        with store.locked():
            fill(disk)
            store.save(NEXT)  # from the reserved space
        assert FileStore(disk / "session.json").load() == NEXT
        assert beside(disk / "session.json") >= {"session.json", "session.json.lock"}
        assert not list(disk.glob(".session.json.*"))


def test_a_write_that_fails_leaves_the_last_session(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(path)
    store.save(SESSION)

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(SessionStoreError, match="Input/output error"):
        store.save(NEXT)
    monkeypatch.undo()
    assert store.load() == SESSION
    assert beside(path) == {"session.json", "session.json.lock"}


WRITE = """
store = FileStore(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    store.save(Session(str(number) * 200, str(number), float(number)))
"""


def test_a_process_killed_while_it_saves_leaves_a_whole_session_and_no_lock(path: Path) -> None:
    for _ in range(5):
        with child(WRITE, path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            until_sync(path.exists)
            process.send_signal(signal.SIGKILL)
            process.wait()
        session = FileStore(path).load()
        assert session is not None
        assert session.access_token == session.refresh_token * 200
    for left in path.parent.glob(".session.json.*"):
        os.utime(left, (1, 1))
    FileStore(path, lock_s=1).save(SESSION)
    assert beside(path) == {"session.json", "session.json.lock"}


HOLD = """
with FileStore(sys.argv[1]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_hangs_in_its_lock_is_named_and_its_death_frees_it(path: Path) -> None:
    store = FileStore(path, lock_s=0.05)
    with child(HOLD, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(SessionStoreError, match=r"session.json.lock has been locked by another process for more than 0.05 s"):
            store.save(SESSION)
        process.send_signal(signal.SIGKILL)
        process.wait()
    store.save(SESSION)


FORK = """
import os
with FileStore(sys.argv[1]).locked():
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
    os.kill(os.getpid(), 9)
"""


def test_the_child_of_a_killed_process_does_not_keep_its_lock(path: Path) -> None:
    with child(FORK, path) as process:
        assert process.wait() == -signal.SIGKILL
        FileStore(path, lock_s=1).save(SESSION)


IN_CHILD = """
import os, threading
begun, end = threading.Event(), threading.Event()
def hold():
    with store.locked():
        begun.set()
        end.wait()
store = FileStore(sys.argv[1], lock_s=0.1) if sys.argv[2] == "file" else MemoryStore()
thread = threading.Thread(target=hold)
thread.start()
begun.wait()
if os.fork() == 0:
    try:
        with store.locked():
            print("locked", flush=True)
    except SessionStoreError as error:
        print("refused", flush=True)
    os._exit(0)
os.wait()
end.set()
thread.join()
with store.locked():
    print("locked again", flush=True)
"""


@pytest.mark.parametrize(("kind", "told"), [("file", "refused"), ("memory", "locked")])
def test_a_fork_takes_part_in_the_lock_of_a_file_and_has_a_memory_of_its_own(path: Path, kind: str, told: str) -> None:
    with child(IN_CHILD, path, kind) as process:
        assert process.communicate()[0].splitlines() == [told, "locked again"]


def test_a_lock_file_that_was_removed_does_not_split_the_lock(path: Path) -> None:
    store = FileStore(path, lock_s=0.05)
    with store.locked():
        path.with_name("session.json.lock").unlink()
        with FileStore(path).locked():  # a new file: nothing can relate it to the removed one
            assert path.with_name("session.json.lock").exists()
            with pytest.raises(SessionStoreError, match="locked"), FileStore(path, lock_s=0.05).locked():
                pass


def test_sessions_need_no_grpc(path: Path) -> None:
    source = "FileStore(sys.argv[1]).load(); print(sorted(name for name in sys.modules if name.split('.')[0] in ('grpc', 'google')))"
    with child(source, path) as process:
        assert process.communicate()[0] == "[]\n"
