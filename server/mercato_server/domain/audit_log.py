"""The audit log: what administrators did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

ACTION_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that was done; `before` and `after` hold only the fields that changed."""

    id: UUID
    actor_id: UUID | None
    """None is the system: the command line."""
    action: str
    subject_id: UUID | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    request_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries a list holds; None means any."""

    actor_id: UUID | None = None
    subject_id: UUID | None = None
    action: str | None = None
