"""Readers of the files that data sets are published in, with limits on what a file may cost."""
