"""What operators see of a worker: metrics and logs.

May import every room that it measures; only the worker imports it.
"""
