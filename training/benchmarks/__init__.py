"""`rung bench`: what the classifier is worth, measured so that it cannot flatter."""
