"""What the operator configured, and what the gateway makes of it."""
