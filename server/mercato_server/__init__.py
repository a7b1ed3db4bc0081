"""The Mercato server: gRPC services over PostgreSQL, and the edge in front of them."""
