"""`mercato backup` and `mercato restore`: copies of an embedded database, and their way back to any moment.

May import all rooms but `cli`.
"""
