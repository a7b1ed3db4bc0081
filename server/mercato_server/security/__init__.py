"""Who calls and what proves it: keys, tokens, passwords, and the sessions that a worker remembers.

May import config, database, domain, feed and store.
"""
