"""The store: all SQL and all transactions, one module per subject.

A function that owns a use case takes the pool and opens the transaction; other functions take a connection. Functions that serve many
calls take a list of requests and return a list of results. The lock order of all transactions is: idempotency keys, order, cart lines,
products, each sorted by key.
"""
