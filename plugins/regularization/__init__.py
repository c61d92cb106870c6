"""Quadratic surrogates of past losses: L2, SI and ALASSO."""
