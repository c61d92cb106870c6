"""Dropout in a network that has none of its own."""
