"""Jobs: they wake up a handler for a row that is owed something. The only room that knows pgqueuer.

May import config, database, domain and store.
"""
