"""A report as an object: data frames, and figures for a notebook."""
