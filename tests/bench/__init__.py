"""`make bench`: Rung, the LiteLLM proxy and the bare upstream side by side (docs/performance.md)."""
