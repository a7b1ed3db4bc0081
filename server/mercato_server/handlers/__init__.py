"""Request handlers, one module per service. Each identifies the caller, checks the request, runs the use case and returns the response."""
