"""The rules of the shop as pure code: no I/O, no SQL and no messages."""
