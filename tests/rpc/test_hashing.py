"""The process that hashes passwords: its answers, its queue between workers, its end and its share of a core."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from embedded.watch import children, gone
from mercato.rpcs import rpcs
from mercato.v1 import auth_pb2
from mercato_server.config.holding import Holding
from mercato_server.config.settings import Hashing, Limits
from mercato_server.domain.errors import HashingUnavailable, MercatoError, Overloaded
from mercato_server.rpc.client_streams import ClientStreams
from mercato_server.rpc.layers import Layers
from mercato_server.rpc.pipeline import service_handler
from mercato_server.security.hash_queue import Lane
from mercato_server.security.hasher import COMMAND, PasswordHasher, Passwords, process_options
from mercato_server.security.passwords import hash_password
from support.patience import patient, until

PASSWORD = "securepass123"
HASHED = hash_password(PASSWORD, pepper="p", cost=4)
DEFAULTS = Limits()


@asynccontextmanager
async def opened(hashing: Hashing, limits: Limits = DEFAULTS) -> AsyncIterator[PasswordHasher]:
    """Yield a worker's side of the hash process."""
    hasher = PasswordHasher(hashing, limits)
    try:
        yield hasher
    finally:
        await hasher.close()


@pytest_asyncio.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    """A worker that has a process of its own."""
    async with opened(Hashing(cost=4, pepper="p"), Limits(password_refusal_s=0)) as hasher:
        yield hasher


async def hash_of(passwords: Passwords, account: bytes = b"jo", lane: Lane = Lane.LOGIN) -> str:
    """Hash a password in a place of its own."""
    async with passwords.place(lane, account) as place:
        return await place.hash(PASSWORD)


async def right(passwords: Passwords, password: str = PASSWORD, hashed: str | None = HASHED) -> bool:
    async with passwords.place(Lane.LOGIN, b"jo") as place:
        return await place.verify(password, hashed)


def link_of(hasher: PasswordHasher) -> Any:
    """Return a worker's connection."""
    assert hasher._opening is not None
    return hasher._opening.result()


def waits(hasher: PasswordHasher, calls: int = 1) -> bool:
    """Tell whether so many calls wait for an answer."""
    opening = hasher._opening
    return opening is not None and opening.done() and len(opening.result()._asked) == calls


@contextmanager
def held(process: int) -> Iterator[int]:
    """Stop the child that hashes, so that calls wait for certain, and yield its id. It must have hashed before."""
    [child] = children(process)
    os.kill(child, signal.SIGSTOP)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)


def process_of(hasher: PasswordHasher) -> int:
    """Return the id of a worker's own process."""
    process = link_of(hasher)._process
    assert process is not None
    return int(process.pid)


async def test_a_hash_verifies_its_own_password_only(hasher: PasswordHasher) -> None:
    passwords = hasher.allowed("192.0.2.1")
    assert await right(passwords)
    assert await right(passwords, hashed=await hash_of(passwords))
    assert not await right(passwords, "another-one-1")
    assert not await right(passwords, hashed=None)


async def test_a_stored_hash_that_is_none_fails_its_own_call_only(hasher: PasswordHasher) -> None:
    with pytest.raises(RuntimeError, match="salt"):
        await right(hasher.allowed("192.0.2.1"), hashed="nonsense")
    assert await right(hasher.allowed("192.0.2.1"))


async def test_a_process_that_was_killed_is_replaced_and_its_work_repeated(hasher: PasswordHasher) -> None:
    passwords = hasher.allowed("192.0.2.1")
    async with passwords.place(Lane.LOGIN, b"jo") as place:
        for _ in range(2):
            os.kill(process_of(hasher), signal.SIGKILL)
            assert await place.verify(PASSWORD, HASHED)
        [child] = children(process_of(hasher))
        os.kill(child, signal.SIGKILL)  # it hashes; the process ends with it
        assert await place.verify(PASSWORD, HASHED)


async def test_the_process_ends_with_its_worker(hasher: PasswordHasher) -> None:
    assert await right(hasher.allowed("192.0.2.1"))
    family = {process_of(hasher), *children(process_of(hasher))}
    link_of(hasher)._writer.close()
    await until(lambda: all(map(gone, family)))
    assert len(family) == 2


async def test_the_hashing_child_is_pinned_to_one_core_in_a_session_of_its_own(hasher: PasswordHasher) -> None:
    assert await right(hasher.allowed("192.0.2.1"))
    [child] = children(process_of(hasher))
    assert os.sched_getaffinity(child) == {max(os.sched_getaffinity(0))}
    assert os.getsid(child) == child


async def test_a_worker_that_stops_waits_for_no_hash() -> None:
    async with opened(Hashing(cost=16)) as hasher:
        hashing = asyncio.create_task(hash_of(hasher.allowed("192.0.2.1")))
        await until(lambda: waits(hasher))
    with pytest.raises(HashingUnavailable):
        await hashing


async def test_passwords_that_cannot_be_hashed_soon_are_refused_before_they_are_hashed() -> None:
    async with opened(Hashing(cost=8), Limits(password_queue=4, password_refusal_s=0)) as hasher:
        passwords = hasher.allowed("192.0.2.1")
        assert await hash_of(passwords)
        with held(process_of(hasher)):
            calls = [asyncio.create_task(hash_of(passwords)) for _ in range(10)]
            await until(lambda: sum(call.done() for call in calls) == 6)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(outcome, Overloaded) for outcome in outcomes] == [False] * 4 + [True] * 6
        assert await hash_of(passwords)
        assert not link_of(hasher)._refused | link_of(hasher)._asked  # nothing is remembered of them


async def test_a_full_queue_gives_the_place_of_a_crowded_network_to_a_newcomer() -> None:
    async with opened(Hashing(cost=10), Limits(password_queue=4, password_refusal_s=0)) as hasher:
        assert await hash_of(hasher.allowed("192.0.2.1"))
        with held(process_of(hasher)):
            crowd = [asyncio.create_task(hash_of(hasher.allowed("192.0.2.1"), bytes([number]))) for number in range(4)]
            await until(lambda: waits(hasher, 4))
            newcomer = asyncio.create_task(hash_of(hasher.allowed("192.0.2.2")))
            await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        outcomes = await asyncio.gather(*crowd, newcomer, return_exceptions=True)
    assert [isinstance(outcome, Overloaded) for outcome in outcomes] == [False] * 3 + [True, False]


async def test_a_shed_login_is_delayed_unless_too_many_are() -> None:
    async with opened(Hashing(cost=4), Limits(password_queue=1, password_refusal_s=3600, password_refusals=2)) as hasher:
        passwords = hasher.allowed("192.0.2.1")
        async with passwords.place(Lane.LOGIN, b"jo"):
            held, also_held, at_once = (asyncio.create_task(hash_of(passwords)) for _ in range(3))
            done, waiting = await asyncio.wait([held, also_held, at_once], return_when=asyncio.FIRST_COMPLETED)
            assert (done, waiting) == ({at_once}, {held, also_held})
            assert isinstance(at_once.exception(), Overloaded)
        held.cancel()
        also_held.cancel()
        await asyncio.wait([held, also_held])
        assert await hash_of(passwords)


@pytest_asyncio.fixture
async def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The socket and the process that the workers of a host share; workers wait for its start as long as it takes."""
    monkeypatch.setattr("mercato_server.security.hasher.CONNECT_S", patient())
    path = tmp_path / "hashing.sock"
    process = start(path)
    yield str(path), process
    process.kill()
    process.wait()


def start(path: Path | str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*COMMAND, *process_options(Hashing(), Limits(password_queue=4)), "--listen", path])


async def test_workers_share_the_queue_of_their_host(shared: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    path, process = shared
    async with (
        opened(Hashing(cost=10, socket=path), Limits(password_refusal_s=0)) as here,
        opened(Hashing(cost=10, socket=path), Limits(password_refusal_s=0)) as there,
    ):
        assert await hash_of(here.allowed("192.0.2.1"))
        with held(process.pid):
            calls = [asyncio.create_task(hash_of(at.allowed("192.0.2.1"))) for at in (here, there) * 3]
            await until(lambda: sum(call.done() for call in calls) == 2)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 2
    assert os.stat(path).st_mode & 0o077 == 0  # noqa: PTH116 - a system call


async def test_work_in_flight_is_repeated_once_the_shared_process_is_started_again(shared: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    path, process = shared
    async with opened(Hashing(cost=10, socket=path)) as hasher:
        assert await hash_of(hasher.allowed("192.0.2.1"))
        with held(process.pid):
            hashing = asyncio.create_task(hash_of(hasher.allowed("192.0.2.1")))
            await until(lambda: waits(hasher))
            process.kill()
            process.wait()
        again = start(path)
        try:
            assert (await hashing).startswith("$2b$10$")
        finally:
            again.kill()
            again.wait()


async def test_calls_do_not_connect_to_a_shared_process_that_ends(shared: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    path, process = shared
    async with opened(Hashing(cost=10, socket=path)) as hasher:
        assert await hash_of(hasher.allowed("192.0.2.1"))
        with held(process.pid) as child:
            hashing = [asyncio.create_task(hash_of(hasher.allowed(f"192.0.2.{number}"))) for number in range(4)]
            await until(lambda: waits(hasher, 4))
            os.kill(child, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
        again = start(path)
        try:
            assert all([(await each).startswith("$2b$10$") for each in hashing])
        finally:
            again.kill()
            again.wait()


async def test_without_the_shared_process_a_call_is_refused_as_unavailable(tmp_path: Path) -> None:
    async with opened(Hashing(socket=str(tmp_path / "absent.sock"))) as hasher:
        with pytest.raises(MercatoError) as refused:
            await hash_of(hasher.allowed("192.0.2.1"))
    assert (refused.value.code.name, refused.value.reason) == ("UNAVAILABLE", "HASHING_UNAVAILABLE")


AUTH = auth_pb2.DESCRIPTOR.services_by_name["AuthService"]
HASHING = {"SignUp", "Login", "LoginForm", "ChangePassword", "ResetPassword", "DeleteMe"}


NONE = Layers((), lambda _rpc: lambda _received, _began, _transport: None)


async def plain(_request: Any, _context: Any) -> bytes:
    return b""


async def hashes(_request: Any, _context: Any, passwords: Passwords) -> bytes:
    return b""


@pytest.mark.parametrize("wrong", ["", "Login", "ResetPassword", "Logout", "GetJwks"])
def test_a_server_starts_only_if_exactly_the_rpcs_whose_policy_says_so_can_hash(wrong: str) -> None:
    taking = HASHING ^ {wrong} if wrong else HASHING
    handler = SimpleNamespace(**{method.name: hashes if method.name in taking else plain for method in AUTH.methods})
    refused = pytest.raises(ValueError, match=f"{wrong} must state `hashes_password`") if wrong else nullcontext()
    with refused:
        service_handler(AUTH, handler, NONE, DEFAULTS, PasswordHasher(Hashing(), DEFAULTS), ClientStreams(Holding()))


def test_the_edge_limits_the_calls_that_hash_for_each_address() -> None:
    assert {rpc.name for rpc in rpcs() if rpc.takes_credentials} >= HASHING
