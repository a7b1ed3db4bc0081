"""Mail: its letters, its transports, the handler of its jobs, and the consumer that queues mails about orders.

May import config, database, domain, security, store, jobs and feed.
"""
