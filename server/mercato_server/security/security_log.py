"""The security log: one line for each refusal that may be a part of an attack, and for each event that an auditor asks for.

Each line has `log: security`, by which an operator routes it, and `reason`. No line has a password, a token or an e-mail address.
"""

from enum import StrEnum

import structlog

log = structlog.get_logger(log="security")


class SecurityEvent(StrEnum):
    """Reasons of lines about what succeeded. Those of refusals are in the errors (`MercatoError.security_event`)."""

    ACCOUNT_CREATED = "ACCOUNT_CREATED"
    LOGGED_IN = "LOGGED_IN"
    LOGGED_OUT = "LOGGED_OUT"
    ALL_SESSIONS_ENDED = "ALL_SESSIONS_ENDED"
    SESSION_REVOKED = "SESSION_REVOKED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - no password
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 - no password
    ROLE_SET = "ROLE_SET"
    ACCOUNT_DISABLED = "ACCOUNT_DISABLED"
    ACCOUNT_ENABLED = "ACCOUNT_ENABLED"
    ACCOUNT_ERASED = "ACCOUNT_ERASED"
    PERSONAL_DATA_EXPORTED = "PERSONAL_DATA_EXPORTED"
    KEYS_CHANGED = "KEYS_CHANGED"
    """A rotation of keys: of the command, and of each worker that follows it."""


KEYS_CHANGED = SecurityEvent.KEYS_CHANGED.value
