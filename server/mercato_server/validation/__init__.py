"""What input must be like, whether a call or a file brings it.

May import domain; raises its InvalidRequest.
"""
