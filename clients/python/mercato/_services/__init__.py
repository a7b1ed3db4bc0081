"""The services of the clients, generated from protos/; never edited."""
