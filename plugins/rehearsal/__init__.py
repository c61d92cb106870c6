"""Rehearsal of stored samples: memories counted in samples, and what replays them."""
