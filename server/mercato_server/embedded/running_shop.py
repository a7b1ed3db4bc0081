"""The processes of a running shop, as its metrics see them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mercato_server.embedded.backup_target import Target
from mercato_server.embedded.processes import Program
from mercato_server.embedded.workers import Workers


@dataclass(frozen=True, slots=True)
class RunningShop:
    """The processes and directories of a shop; what runs may differ at each look."""

    servers: Callable[[], Sequence[Program]]
    """All processes but the workers."""
    workers: Workers
    data_dir: Path
    logs_bytes: int
    """Bound of all logs together."""
    backups: Target | None = None
    """Where the shop is archived."""

    @property
    def processes(self) -> Mapping[str, int | None]:
        """Process ids by name, of all but the workers; None for one that does not run."""
        return {program.name: program.pid for program in self.servers()}

    @property
    def workers_running(self) -> int:
        """The number of workers that run."""
        return sum(process.pid is not None for process in self.workers.programs)

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each process was started again after it had ended, by its name."""
        names = [*self.processes, *(process.name for process in self.workers.programs)]
        return {**dict.fromkeys(names, 0), **self.workers.restarts}
