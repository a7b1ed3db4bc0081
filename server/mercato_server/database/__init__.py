"""PostgreSQL: the pool, transactions with known outcomes, batches of callers, and migrations.

May import config and domain.
"""
