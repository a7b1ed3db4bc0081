"""Validation of input from calls and files.

May import domain; raises its InvalidRequest.
"""
