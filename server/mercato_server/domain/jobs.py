"""The kinds of jobs. The values are those of the database. Another release may have more kinds; this release ignores those."""

from enum import StrEnum


class JobKind(StrEnum):
    """The kind of a job, which names its queue."""

    MAIL = "mail"
    PICTURE = "picture"
