"""Taxes that a provider outside of the shop names: its interface, the client of its contract over HTTP, and quotes with its answers.

May import config, database, domain, store and tracing.
"""
