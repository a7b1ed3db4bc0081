"""Metrics and logs of a worker.

May import every room that it measures; only the worker imports it.
"""
