"""Pure decisions: from difficulty, money and wishes to a rung.

Standard library only; no I/O, no clock, no randomness of its own.
"""
