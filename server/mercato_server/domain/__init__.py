"""Pure code: the rules of the shop. Nothing here does I/O or knows of SQL and messages."""
