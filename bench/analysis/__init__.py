"""Rows in, rows out: keys, joins, intervals, frontiers. No models, no drawing."""
