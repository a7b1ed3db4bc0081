"""The audit log: the actions of administrators and of the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

ACTION_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An action and its effect; `before` and `after` hold only the fields that changed."""

    id: UUID
    actor_id: UUID | None
    """None for the system, that is the command line."""
    action: str
    subject_id: UUID | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    request_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """The conditions of a list of entries; None sets no condition."""

    actor_id: UUID | None = None
    subject_id: UUID | None = None
    action: str | None = None
