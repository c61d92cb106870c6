"""A memory of exemplars within a budget of bytes."""
