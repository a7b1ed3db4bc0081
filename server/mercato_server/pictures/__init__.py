"""Pictures: uploads, the process that decodes them, their files, and the sweeps of what nothing shows.

May import config, database, domain, store and jobs.
"""
