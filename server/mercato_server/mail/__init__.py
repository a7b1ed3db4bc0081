"""Mail: how it is written, where it is handed in, and the jobs that do both."""
