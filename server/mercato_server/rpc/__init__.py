"""A call: its context, the layers around every handler, and what connects both to gRPC.

May import config, database, domain and security; handlers see its context alone.
"""
