"""What a request's money goes through, from its price before the decision to its settlement."""
