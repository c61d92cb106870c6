"""Bases of what layers see (GPM) and answer (BMKP) in past tasks."""
