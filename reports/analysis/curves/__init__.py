"""Accuracy against the experiences, and against the iterations within them."""
