"""What a feature that has jobs says of them: its queue, the handler, and how a handler answers."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from mercato_server.database.pool import Pool
from mercato_server.domain.jobs import JobKind


@dataclass(frozen=True, slots=True)
class Job:
    """A wake-up for a row. It may come more than once, and at two workers at once."""

    row_id: UUID
    attempts: int
    """How often it was put back."""
    keep: Callable[[], None]
    """Call it when the effect has happened and only has to be noted: a worker that stops then waits, and no longer cuts the job off."""


class LaterError(Exception):
    """The job is put back into its queue; the message says why."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s
        """When it shall run again; None leaves it to the queue's pauses."""


class GivenUpError(Exception):
    """The job is held: its row says why, and an operator may queue it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The jobs of one kind.

    A handler that returns is done. LaterError puts its job back, as does a database that is away; GivenUpError and any other error hold it.
    A worker that stops cancels its handlers after a while, and puts their jobs back.
    """

    kind: JobKind
    handle: Callable[[Job], Awaitable[None]]
    due: Callable[["Pool", int], Awaitable[Sequence[UUID]]]
    """Return rows that are owed something and have no job that is queued or under way, at most so many."""
    concurrency: int = 0
    """Jobs at once, over all workers; 0 sets no limit beside that of each worker."""
    per_second: float
    """Jobs that a worker begins at most: they share its core with calls."""
    pause_max_s: float
    """The longest pause before a job is tried again; the first is about a second, and each twice the one before."""
