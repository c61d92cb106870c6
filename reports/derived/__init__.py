"""Metrics that are computed from the records of runs, after these."""
