"""Standard output and standard error of commands: their reader may go away, their disk be full, their locale lack characters."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import typer

from mercato.cli.escapes import harmless

CANCELLED, INTERNAL = 1, 13
"""Codes of gRPC for errors of this machine."""


def tell(*lines: str) -> None:
    """Write lines on standard error, made harmless. If it cannot take them, the exit code alone tells."""
    try:
        sys.stderr.write("".join(f"{harmless(line)}\n" for line in lines))
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


@contextlib.contextmanager
def tidy(*, as_json: bool = False) -> Iterator[None]:
    """Write out all output of a command. A reader that has gone, as with `| head`, ends it well; a full disk is told.

    An error of the command itself stays, with its exit code.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a locale may lack characters of the data
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
        raise typer.Exit(0) from None
    except OSError as error:
        _discard(sys.stdout)
        _tell_unwritten(error, as_json=as_json)
        raise typer.Exit(1) from None
    except Exception:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            raise
        _discard(sys.stdout)
        raise


def _tell_unwritten(error: OSError, *, as_json: bool) -> None:
    told = f"standard output: {error.strerror}"
    if as_json:
        from mercato.cli.failures import tell_json

        tell_json(INTERNAL, told)
    else:
        tell(f"mercato: {told}")


def _discard(stream: TextIO) -> None:
    """Give what a stream still has to /dev/null: the interpreter writes it once more at its end, and would exit with another code."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
