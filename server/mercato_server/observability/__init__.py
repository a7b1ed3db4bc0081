"""Metrics and logs of a worker.

May import every room that it measures; only the composition, the worker and the commands import it.
"""
