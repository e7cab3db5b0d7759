"""Logs and data -> a proven classifier, and the benchmarks that prove it."""
