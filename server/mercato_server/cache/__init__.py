"""The caches of a worker, which serve reads without the database.

May import config, database, domain, feed and store.
"""
