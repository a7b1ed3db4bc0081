"""What jobs are for. The values are those of the database; another release may have more, and what is not here is left alone."""

from enum import StrEnum


class JobKind(StrEnum):
    """The queue of a job."""

    MAIL = "mail"
