"""The read-through cache of the benchmarks' peer keeps answers for a time, and forgets what it is told to forget."""

import asyncio
from dataclasses import dataclass, field

import pytest

from peer import cache
from peer.cache import Cache


@dataclass
class Source:
    """A clock that stands still, and a database whose answer is the number of reads."""

    now: float = 1_000.0
    reads: list[int] = field(default_factory=list)

    async def load(self) -> bytes:
        self.reads.append(len(self.reads) + 1)
        return str(self.reads[-1]).encode()


def answers(kept: Cache, source: Source, *keys: str) -> list[bytes]:
    return [asyncio.run(kept.get(key, source.load)) for key in keys]


def test_an_answer_is_read_once_until_its_time_is_over() -> None:
    source = Source()
    kept = Cache(5.0, clock=lambda: source.now)
    assert answers(kept, source, "a", "a", "b", "a") == [b"1", b"1", b"2", b"1"]
    source.now += 4.9
    assert answers(kept, source, "a") == [b"1"]
    source.now += 0.2
    assert answers(kept, source, "a", "a", "b") == [b"3", b"3", b"4"]


def test_forgotten_answers_are_read_again() -> None:
    source = Source()
    kept = Cache(5.0, clock=lambda: source.now)
    answers(kept, source, "a", "b", "c")
    kept.forget(["b", "never read"])
    assert answers(kept, source, "a", "b", "c") == [b"1", b"4", b"3"]
    kept.clear()
    assert answers(kept, source, "a") == [b"5"]


def test_without_a_time_every_answer_is_read() -> None:
    source = Source()
    assert answers(Cache(0.0, clock=lambda: source.now), source, "a", "a") == [b"1", b"2"]


def test_the_oldest_answer_goes_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ANSWERS_MAX", 2)
    source = Source()
    kept = Cache(5.0, clock=lambda: source.now)
    answers(kept, source, "a", "b", "c")
    assert answers(kept, source, "b", "c", "a") == [b"2", b"3", b"4"]
