"""A double of Stripe: a real HTTP server with Stripe's rules, for tests and for demo payments with play money.

README.md lists what it does, from which page of Stripe's documentation, and what it leaves out.
"""
