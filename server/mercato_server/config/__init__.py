"""Settings: what the environment says, checked and typed.

Imports no other room.
"""
