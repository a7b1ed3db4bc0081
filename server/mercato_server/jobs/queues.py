"""The interface between a feature and its jobs: the queue, the handler, and the outcomes of a handler."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind


@dataclass(frozen=True, slots=True)
class Job:
    """A request to do the work of a row. It may run more than once, and at two workers at the same time."""

    row_id: UUID
    attempts: int
    """The number of times that it was put back into the queue."""
    keep: Callable[[], None]
    """Protect the job from cut-off: a stopping worker waits for it. The handler calls it between its external effect and recording that."""


class LaterError(Exception):
    """The handler puts the job back into its queue; the message is the reason."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s
        """Seconds until the next attempt; None for the backoff of the queue."""


class GivenUpError(Exception):
    """The handler gives the job up. The runner holds it, its row has the reason, and an operator may queue it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The jobs of one kind and their handler.

    A job is complete when its handler returns. LaterError and an unavailable database put it back into the queue. GivenUpError and any
    other error hold it. A stopping worker cuts off its handlers after a while, and puts their jobs back.
    """

    kind: JobKind
    handle: Callable[[Job], Awaitable[None]]
    due: Callable[["Pool", int], Awaitable[Sequence[UUID]]]
    """Return rows that have work pending but no queued or running job, up to a limit."""
    concurrency: int = 0
    """Maximum of concurrent jobs over all workers; 0 leaves only the limit of each worker."""
    per_second: float
    """Maximum rate at which a worker starts jobs, because they share its core with calls."""
    pause_max_s: float
    """Upper bound of the backoff. The first pause is about a second, and each is twice the one before."""
