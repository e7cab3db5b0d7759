"""The wire formats, and the one place where an exception becomes a reply."""
