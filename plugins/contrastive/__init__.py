"""Contrasted views of samples, and prototypes of classes."""
