"""The waits of the tests and the leases of their ports."""

import asyncio
import itertools
import socket
import threading

import pytest

import ports
from support import patience
from support.patience import Within, until, until_sync


def never() -> list[int]:
    return []


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_S", 0.02)


async def test_a_wait_gives_the_first_answer_that_is_true() -> None:
    numbers = itertools.count()

    async def third() -> int:
        return max(next(numbers) - 2, 0)

    assert await until(third) == 1
    assert await until(lambda: max(next(numbers) - 5, 0)) == 1
    assert until_sync(lambda: max(next(numbers) - 8, 0)) == 1


@pytest.mark.usefixtures("hurried")
async def test_a_condition_that_never_comes_true_is_named_with_its_last_answer() -> None:
    with pytest.raises(AssertionError, match=r"never came true in \d+ s: it rains; the last answer was 0"):
        await until(lambda: 0, "it rains")
    with pytest.raises(AssertionError, match=r"def never.*the last answer was \[\]"):
        until_sync(never)
    with pytest.raises(AssertionError, match="never came true"):
        await until(asyncio.Event().wait)


async def test_an_error_means_not_yet_only_where_that_is_said() -> None:
    numbers = itertools.count(-1)
    assert await until(lambda: 6 // next(numbers), despite=ZeroDivisionError) == -6
    assert await until(lambda: 6 // next(numbers), despite=ZeroDivisionError) == 6
    with pytest.raises(TimeoutError):
        await until(_timed_out)


async def _timed_out() -> None:
    raise TimeoutError


def test_a_bound_has_at_least_three_times_its_seconds(within: Within) -> None:
    assert within(2.0) >= 6.0


@pytest.mark.usefixtures("hurried")
def test_a_read_that_blocks_is_cut_off() -> None:
    acted = threading.Event()
    with patience.or_else(acted.set):
        acted.wait()


def test_a_leased_port_is_free_and_leased_only_once() -> None:
    first = ports.free_ports(3)
    for port in range(first, first + 3):
        assert ports._lease(port) is None
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_port_in_use_is_not_leased() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ports._lease(server.getsockname()[1]) is None


def test_the_kernel_gives_none_of_the_ports_to_connections() -> None:
    lowest, highest = map(int, ports.EPHEMERAL.read_text().split())
    assert not lowest <= ports.free_port() <= highest
