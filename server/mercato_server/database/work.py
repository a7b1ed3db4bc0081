"""The work of the database for one call, job or batch: how many statements it sends, and how long they take.

The outermost layer of calls gives each call its own `Work`, in a context variable. Tasks that the call starts inherit it. Each connection
adds its statements to the current one. A batch has a `Work` of its own and tells it to the `Work` of each call that it serves, so a
statement that calls share counts for each of them. Background tasks have none unless they set one.

A statement is one request of the worker to PostgreSQL: a fetch, an execution, a COPY, or the opening of a cursor (without its time). BEGIN
with its limits is one, and so are COMMIT and ROLLBACK. An `executemany` is one for all of its rows. Failed statements count. The requests
by which asyncpg prepares statements and looks up types do not. Neither do the question of a new connection whether it has reached the
primary, and asyncpg's prepared-statement objects, which the server does not use.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from time import perf_counter
from typing import Any, ClassVar, TypeVar, cast


class Work:
    """Statements, the seconds that they took, and the size of the batch that served the call.

    Seconds are those between sending a statement and its answer. They do not include the wait for a connection, or in the queue of a batch.
    """

    __slots__ = ("batch_size", "in_background", "statement_s", "statements")

    traced: ClassVar[bool] = False
    """Whether its statements are recorded in a trace, by a subclass."""

    def __init__(self, *, in_background: bool = False) -> None:
        self.in_background = in_background
        self.statements = 0
        self.statement_s = 0.0
        self.batch_size = 0
        """Calls in the largest batch that has served this one; 0 if none has."""

    @property
    def trace_id(self) -> str:
        """The id of its trace, in hexadecimal; empty without one."""
        return ""

    @property
    def traceparent(self) -> str:
        """The header by which later work can continue its trace (W3C Trace Context); empty without one."""
        return ""

    def add(self, statement: str, began: float, ended: float, error: BaseException | None = None) -> None:  # noqa: ARG002 - for traces
        """Count a statement; the moments are those of `time.perf_counter`, the error is that with which it failed."""
        self.statements += 1
        self.statement_s += ended - began

    def join(self, batch: "Work", size: int) -> None:
        """Count the statements of a batch of `size` calls that has served this call, or failed it."""
        self.statements += batch.statements
        self.statement_s += batch.statement_s
        self.batch_size = max(self.batch_size, size)

    def batch(self, kind: str, members: "Sequence[Work | None]") -> "Work":  # noqa: ARG002 - for traces
        """Return the new work of a batch for these members."""
        return Work(in_background=all(each is None or each.in_background for each in members))

    def end(self, error: BaseException | None = None) -> None:
        """End the work of a batch; the error is that with which all of it failed."""


current_work: ContextVar[Work | None] = ContextVar("work", default=None)
"""The work of the running call, batch or job; None for a background task without one."""


_NO_WORK = Work()


def of_batch(kind: str, members: Sequence[Work | None]) -> Work:
    """Return the new work of a batch for these members. It is in the trace of the first one that has a trace."""
    for each in members:
        if each is not None and each.traced:
            return each.batch(kind, members)
    return _NO_WORK.batch(kind, members)


class Tally:
    """The statements of a pool since its start, of calls and of all others; each counts once, however many calls share it."""

    __slots__ = ("background", "calls")

    def __init__(self) -> None:
        self.calls, self.background = Work(), Work(in_background=True)

    def add(self, statement: str, began: float, error: BaseException | None = None) -> None:
        """Count a statement that has just ended, here and for the current work."""
        ended = perf_counter()
        work = current_work.get()
        if work is not None:
            work.add(statement, began, ended, error)
        total = self.background if work is None or work.in_background else self.calls
        total.statements += 1
        total.statement_s += ended - began


Method = TypeVar("Method", bound=Callable[..., Any])


def counted(method: Method) -> Method:
    """Return a method of a connection that counts its statement in the connection's `tally`, whether or not it succeeds."""
    run: Callable[..., Awaitable[Any]] = method

    @wraps(method)
    async def counting(self: Any, statement: str, *args: Any, **options: Any) -> Any:
        began = perf_counter()
        try:
            answer = await run(self, statement, *args, **options)
        except BaseException as error:
            self.tally.add(statement, began, error)
            raise
        self.tally.add(statement, began)
        return answer

    return cast("Method", counting)
