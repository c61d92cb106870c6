"""The sections of a report: a table, a figure and what they say."""
