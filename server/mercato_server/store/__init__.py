"""All SQL and every transaction, one module per service.

A function that owns a use case takes the pool and opens its transaction in plain sight; helpers take a connection. Hot functions take a
list of requests and return a list of results. Lock order, everywhere: idempotency keys, order, cart lines, products, each by their key.
"""
