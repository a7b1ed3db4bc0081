"""What a worker keeps in memory to answer without the database.

May import config, database, domain, feed and store.
"""
