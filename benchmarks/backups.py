"""Measure how long a backup and a restore of a shop with past orders take, and what a running backup costs checkouts."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cases
import orders_size
from cases import GRPC, Load
from goods import Mismatch
from mercato_server.backups.restoring import Wanted, restore
from mercato_server.backups.taking import Source, take
from mercato_server.embedded.backup_target import Target
from mercato_server.embedded.launches import Launch
from mercato_server.embedded.postgres import MEGABYTE, Postgres
from orders_size import Side
from report import Part, Sample
from runs import Scale

ORDERS_MAX = 1_000_000


async def measure(scale: Scale, directory: Path | None) -> Part:
    """Back up a running shop while buyers order, and restore it into another directory."""
    count = min(scale.orders[-1], ORDERS_MAX)
    with tempfile.TemporaryDirectory(prefix="mercato-backups-", dir=directory) as name:
        place = Path(name).resolve()  # noqa: ASYNC240 - nothing runs yet
        place.chmod(0o711)  # as root, PostgreSQL runs as another user, which must be able to enter
        shop, target = place / "shop", Target(place / "backups")
        await orders_size.make_databases(shop, (count,))
        server = Postgres(shop)
        try:
            await server.start()
            async with orders_size.open_side(shop, server, count, scale) as side:
                await _order(side, scale)  # fills pools, plans and caches
                quiet = [await _order(side, scale) for _ in range(scale.rounds)]
                backup_s, busy = await _back_up(side, scale, shop, target)
        finally:
            await server.stop()
        began = time.perf_counter()
        await restore(Wanted(target=target, data_dir=place / "restored", environ={}), lambda _: None)
        restore_s, size = time.perf_counter() - began, _size(target.directory)
    cells = [
        ("shop", "backup, s", "restore, s", "MB"),
        (f"{count:,} orders", f"{backup_s:.1f}", f"{restore_s:.1f}", f"{size // MEGABYTE:,}"),
    ]
    effect = [("Checkout", "p50, ms", "p99, ms"), _cells("alone", quiet), _cells("during a backup", busy)]
    return Part(title="Backup and restore", goals=[], note=NOTE, tables=[cells, effect])


async def _back_up(side: Side, scale: Scale, shop: Path, target: Target) -> tuple[float, list[Sample]]:
    """Take a backup while buyers order; return its seconds, and the checkouts meanwhile."""
    began, busy = time.perf_counter(), list[Sample]()
    backup = asyncio.create_task(take(Source(shop, Launch.of_environ({}, shop)), target, keep=None, tell=lambda _: None))
    ended = asyncio.create_task(_when_done(backup))
    while not backup.done() or not busy:
        busy.append(await _order(side, scale))
    await backup
    return await ended - began, busy


async def _when_done(task: "asyncio.Task[object]") -> float:
    await asyncio.wait([task])
    return time.perf_counter()


async def _order(side: Side, scale: Scale) -> Sample:
    run = await cases.checkout(GRPC, side.carts).run(side.running, side.conn, Load(scale.concurrency, orders_size.UNTIL_ALL_S))
    if run.outcome.failures:
        raise Mismatch(f"a checkout is answered wrongly: {run.outcome.failures}")
    return Sample.of(run)


def _cells(name: str, samples: Sequence[Sample]) -> tuple[str, str, str]:
    p50, p99 = (statistics.median(getattr(sample, field) for sample in samples) for field in ("p50_ms", "p99_ms"))
    return name, f"{p50:.1f}", f"{p99:.1f}"


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


NOTE = (
    "`mercato backup` with the verification of the copy, while one worker places orders over gRPC; `mercato restore` until the shop can be "
    "started. On one disk, which both the database and its backup use."
)
