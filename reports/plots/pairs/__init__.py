"""Figures of comparisons between strategies."""
