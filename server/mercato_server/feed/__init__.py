"""The change feed as its readers see it: listeners, and each consumer with its cursor.

May import config, database, domain and store.
"""
