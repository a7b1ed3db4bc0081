"""Metrics of the supervisor: the processes of a shop, its logs and its disk."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mercato_server.embedded.backup_target import BackupError
from mercato_server.embedded.running_shop import RunningShop

_TICKS = os.sysconf("SC_CLK_TCK")


class Vitals(Collector):
    """The processes, logs and disk of a shop."""

    def __init__(self, shop: RunningShop) -> None:
        self._shop = shop

    def collect(self) -> Iterator[Metric]:
        """Yield the current state."""
        yield GaugeMetricFamily("mercato_workers_running", "Workers that run.", value=self._shop.workers_running)
        restarts = CounterMetricFamily(
            "mercato_process_restarts", "How often a process was started again after it had ended by itself.", labels=["process"]
        )
        for name, count in self._shop.restarts.items():
            restarts.add_metric([name], count)
        yield restarts
        yield from self._of_processes()
        yield from self._of_files()
        yield from self._of_backups()

    def _of_processes(self) -> Iterator[Metric]:
        runs = GaugeMetricFamily("mercato_process_up", "Whether a process of the shop runs.", labels=["process"])
        seconds = CounterMetricFamily(
            "mercato_process_cpu_seconds", "Processor time of a process, with its children that ended or run.", labels=["process"]
        )
        memory = GaugeMetricFamily(
            "mercato_process_private_bytes", "Memory of a process and its children that they do not share.", labels=["process"]
        )
        for name, pid in {**self._shop.processes, "supervisor": os.getpid()}.items():
            runs.add_metric([name], pid is not None)
            if pid is not None:
                family = [pid] if name == "supervisor" else [pid, *_children(pid)]
                seconds.add_metric([name], sum(_cpu_s(each, ended=name != "supervisor") for each in family))
                memory.add_metric([name], sum(map(_private_bytes, family)))
        yield from (runs, seconds, memory)

    def _of_files(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("mercato_log_bytes", "Size of all logs.", value=_size(self._shop.data_dir / "log"))
        yield GaugeMetricFamily("mercato_log_max_bytes", "Bound of that size (MERCATO_LOG_MEGABYTES).", value=self._shop.logs_bytes)
        disk = os.statvfs(self._shop.data_dir)
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        yield GaugeMetricFamily("mercato_disk_free_bytes", "Free space of the file system of the data directory.", value=free)
        yield GaugeMetricFamily("mercato_disk_size_bytes", "Size of the file system of the data directory.", value=size)

    def _of_backups(self) -> Iterator[Metric]:
        """Yield nothing unless the shop is archived; 0 without a backup, or if its directory cannot be read."""
        if self._shop.backups is None:
            return
        completed = restorable = 0.0
        with contextlib.suppress(BackupError, OSError):
            if found := self._shop.backups.newest():
                completed, restorable = (moment.timestamp() for moment in found)
        yield GaugeMetricFamily(
            "mercato_backup_completed_timestamp_seconds", "Time of the last backup; 0 if there is none.", value=completed
        )
        yield GaugeMetricFamily(
            "mercato_backup_restorable_timestamp_seconds",
            "Last moment to which that backup can be restored. It stays if the archive is late or has a gap.",
            value=restorable,
        )


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # it has ended
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _cpu_s(pid: int, *, ended: bool) -> float:
    """Return the processor time of a process, with that of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11 : 15 if ended else 13])) / _TICKS
    return 0.0


def _private_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def _size(directory: Path) -> int:
    total = 0
    for path in directory.iterdir():
        with contextlib.suppress(OSError):  # a log that was moved
            total += path.stat().st_size
    return total
