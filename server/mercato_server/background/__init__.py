"""Background tasks that run as long as a worker does; no call waits for them.

May import config, database, domain, store and tracing.
"""
