"""Processes with buyers that shop through the Python client, as a test sees them."""

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from faults import client_buyers
from faults.buyers import Buyer, Goods, Purchase, Tally
from faults.client_buyers import BEGUN, DONE, REFUSED, REPLAYED, UNKNOWN, Journal
from support.patience import patient, until

Kind = Literal["Client", "AsyncClient"]


def known(buyer: Buyer, journal: Journal) -> Iterator[Purchase]:
    """Yield the checkouts as their buyer knows them."""
    by_key: dict[str, Purchase] = {}
    for kind, key, *rest in journal.entries():
        purchase = by_key.setdefault(key, Purchase(buyer, key))
        purchase.sent += kind in {BEGUN, UNKNOWN}
        purchase.unknown += kind == UNKNOWN
        if kind == DONE:
            purchase.reply = base64.b64decode(rest[0])
        elif kind == REFUSED:
            purchase.refusal = " ".join(rest)
    yield from by_key.values()


@dataclass
class Crowd:
    """A process with buyers, as the test sees it."""

    kind: Kind
    target: str
    goods: Goods
    buyers: Sequence[Buyer]
    directory: Path
    unfinished: int = 0
    """Checkouts under way when the process was killed."""
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def journals(self) -> list[Journal]:
        """The journals, one for each buyer."""
        return [Journal(self._base.with_suffix(f".{number}")) for number in range(len(self.buyers))]

    @property
    def _base(self) -> Path:
        return self.directory / f"{self.kind}.journal"

    async def start(self) -> None:
        """Start the process."""
        arguments = [self.kind, self.target, self._base, self.goods.product_ids[0], *(buyer.token for buyer in self.buyers)]
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = await asyncio.create_subprocess_exec(sys.executable, client_buyers.__file__, *map(str, arguments), env=environ)

    async def kill(self) -> None:
        """Kill the process with SIGKILL, and start another one that goes on."""
        assert self._process is not None
        self._process.kill()
        assert await self._process.wait() == -signal.SIGKILL
        self.unfinished += sum(journal.unfinished() is not None for journal in self.journals)
        await self.start()

    def replayed(self) -> int:
        """Return how many orders were acknowledged by the answer of an earlier attempt."""
        return sum(words[-1] == REPLAYED for journal in self.journals for words in journal.entries())

    async def stop(self) -> None:
        """Let every buyer find out what came of its last checkout."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(patient()):
            assert await self._process.wait() == 0

    def abandon(self) -> None:
        """Kill the process, if it runs."""
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.kill()

    async def trade(self, orders: int) -> None:
        """Return once every buyer has placed so many further orders."""
        wanted = [journal.done() + orders for journal in self.journals]
        await until(
            lambda: all(journal.done() >= count for journal, count in zip(self.journals, wanted, strict=True)), f"{self.kind} trades"
        )


@asynccontextmanager
async def crowds(goods: Goods, target: str, directory: Path, tally: Tally) -> AsyncIterator[list[Crowd]]:
    """Run buyers with each client for a block; after it, the tally has what they know."""
    half = len(goods.buyers) // 2
    both = [
        Crowd("Client", target, goods, goods.buyers[:half], directory),
        Crowd("AsyncClient", target, goods, goods.buyers[half:], directory),
    ]
    try:
        await asyncio.gather(*(crowd.start() for crowd in both))
        yield both
        await asyncio.gather(*(crowd.stop() for crowd in both))
        tally.purchases += [
            purchase
            for crowd in both
            for buyer, journal in zip(crowd.buyers, crowd.journals, strict=True)
            for purchase in known(buyer, journal)
        ]
    finally:
        for crowd in both:
            crowd.abandon()
