"""Execution plans: taken from the server, read into one small model, compared before and after an index."""
