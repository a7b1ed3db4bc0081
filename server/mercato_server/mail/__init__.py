"""Mail: how it is written, where it is handed in, the handler of its jobs, and the consumer that makes mails of orders.

May import config, database, domain, security, store, jobs and feed.
"""
