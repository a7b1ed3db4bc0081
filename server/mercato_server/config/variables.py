"""Describe an environment variable: the table of all settings is made of these, and secrets are found by them."""

from dataclasses import dataclass
from enum import StrEnum


class Reader(StrEnum):
    """A process that reads a variable."""

    WORKER = "worker"
    """`mercato serve`."""
    EDGE = "edge"
    """`mercato envoy-config` and `mercato edge`, on behalf of Envoy."""
    UP = "up"
    """`mercato up` itself. It also passes the variables of workers on, and reads those of the edge."""
    COMMANDS = "commands"
    """The commands that take DATABASE_URL, such as `migrate`, `verify` and `admin create`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that Mercato reads."""

    name: str
    default: str
    """A value that changes nothing; empty if only leaving the variable out does."""
    meaning: str
    """Markdown for a cell of a table in docs/, with the limits of the value."""
    readers: tuple[Reader, ...]
    note: str = ""
    """Text about the default, if there is more to say than its value."""
    secret: bool = False
    """Whether the value may also come from the file that the variable NAME_FILE names."""
