"""What became of answers: feedback, what Rung sees by itself, operators' checks; all as outcomes of a decision."""
