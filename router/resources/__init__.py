"""What a gateway stands on: the private store, the bundled model, the pepper, the demo key."""
