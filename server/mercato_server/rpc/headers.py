"""Headers between the edge and the workers. The edge removes or replaces those that a client sends under these names."""

CLIENT_ADDRESS = "x-client-address"
"""The client's address."""
ORIGINAL_METHOD, ORIGINAL_PATH = "x-envoy-original-method", "x-envoy-original-path"
"""The method, and the path with its query, of a REST request; a gRPC request has neither."""
HTTP_STATUS = "x-http-status"
"""In an answer over REST: a status that gRPC does not have."""
