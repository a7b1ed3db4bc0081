"""The commands of `mercato`: what a person types and reads.

May import every other room; no room imports it.
"""
