"""The readers of the change feed: listeners without a cursor, and consumers with one.

May import config, database, domain and store.
"""
