"""Accuracy on all experiences seen so far while a model is trained."""
