"""Statements that tell that they were late: on a slow machine any may be, and then the use case sends one more."""

import pytest

from mercato_server.store import admission, carts, locked_carts


def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no statement be late during a test that counts or names the statements of calls."""
    for module, name in ((carts, "ADD_LINES"), (carts, "SET_LINES"), (locked_carts, "LOCK_CARTS")):
        statement = getattr(module, name)
        assert admission.IS_LATE in statement
        monkeypatch.setattr(module, name, statement.replace(admission.IS_LATE, "FALSE AS is_late"))
