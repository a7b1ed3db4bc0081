"""Marks in the code of other rooms, which are recorded if the running call or job has spans. They load no OpenTelemetry."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, cast

from mercato_server.database.work import current_work

if TYPE_CHECKING:
    from mercato_server.tracing.spans import TracedWork, Tracer

_NO_HEADERS: Mapping[str, str] = {}


def step(name: str, provider: str = "") -> AbstractContextManager[Mapping[str, str]]:
    """Record a request to another server during a block; yield headers for the request, by which its provider continues the trace.

    There are none without spans, and for a provider that MERCATO_TRACE_PROVIDERS does not name.
    """
    work = current_work.get()
    if work is None or not work.traced:
        return nullcontext(_NO_HEADERS)
    return cast("TracedWork", work).step(name, provider)


@contextmanager
def later(tracer: "Tracer | None", name: str, traceparent: str = "", attempts: int = 0) -> Iterator[None]:
    """Record background work during a block: in the trace of the call that has caused it, else in a new trace or in none.

    Args:
        tracer: None if traces are off.
        name: of the span.
        traceparent: of the call; empty without one, and if its trace is not recorded.
        attempts: how often the work was begun before.
    """
    work = tracer.job(name, traceparent, {"mercato.attempts": attempts}) if tracer else None
    if work is None:
        yield
        return
    outer, token = current_work.get(), current_work.set(work)
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        current_work.reset(token)
        work.end(failure)
        if outer is not None:
            outer.join(work, work.batch_size)
