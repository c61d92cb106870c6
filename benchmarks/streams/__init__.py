"""The benchmark streams, one family per file."""
