"""Request handlers, one module per service.

A handler identifies the caller, checks the request, runs the use case and returns the response. It has no SQL, try, abort or logging.
"""
