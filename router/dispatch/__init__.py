"""From a plan to an answer: attempts, fallbacks, hedges, and who is kept away from."""
