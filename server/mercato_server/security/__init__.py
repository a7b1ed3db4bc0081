"""Authentication: signing keys, tokens, passwords, and the cache of live sessions.

May import config, database, domain, feed and store.
"""
