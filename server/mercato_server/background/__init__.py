"""Work that no call waits for, as long as a worker runs.

May import config, database, domain and store.
"""
