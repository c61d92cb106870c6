"""Adaptation to a domain whose images come without labels (DANN, DSAN)."""
