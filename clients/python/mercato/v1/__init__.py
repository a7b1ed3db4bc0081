"""Messages and stubs generated from protos/mercato/v1; never edited."""
