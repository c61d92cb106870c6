"""Exemplars by the byte: codecs, selection, a buffer with a budget in bytes, replay."""
