"""Streams that papers made for their comparisons."""
