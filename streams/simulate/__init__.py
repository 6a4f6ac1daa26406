"""A synthetic shop whose truth is known: who likes what, what position, delay and promotion really do."""
