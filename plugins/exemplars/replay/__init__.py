"""Replay from a memory of compressed exemplars."""
