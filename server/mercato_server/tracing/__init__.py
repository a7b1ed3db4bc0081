"""Traces: which calls and jobs have spans, and the spans themselves. Only `spans` and `export` load OpenTelemetry, and only if it is on.

May import config, database and domain.
"""
