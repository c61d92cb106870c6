"""Evaluation mode, hooks, and features of layers inside a network."""
