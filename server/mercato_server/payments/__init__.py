"""Payments: the interface of providers, Stripe behind it, and the work that the shop and a provider owe each other.

May import config, database, domain, store and tracing.
"""
