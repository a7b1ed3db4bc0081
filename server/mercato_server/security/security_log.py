"""The security log: one line for each refusal that may be a part of an attack, and for each change of the keys.

Each line has `log: security`, by which an operator routes it, and `reason`. No line has a password, a token or an e-mail address.
"""

import structlog

log = structlog.get_logger(log="security")

KEYS_CHANGED = "KEYS_CHANGED"
"""Reason of the lines about a rotation: of the command, and of each worker that follows it."""
