"""The edge in front of the workers: Envoy's configuration, the OpenAPI document and the docs page."""
