"""The root of this package's errors, which needs no other module."""


class MercatoError(Exception):
    """Any error of this package about a shop, its connection or a stored session."""
