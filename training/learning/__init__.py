"""Logs -> a promoted classifier: ingest, labels, quarantine, fit, evaluate, gates, promote. See docs/learning.md."""
