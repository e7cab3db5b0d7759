"""Query -> difficulty, success per ability level, kind of task and token forecast."""
