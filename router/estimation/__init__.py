"""The classifier beside the event loop, and which classifier it is."""
