"""Jobs: each calls a handler for a row that has work pending. Only this room imports pgqueuer.

May import config, database, domain, store and tracing.
"""
