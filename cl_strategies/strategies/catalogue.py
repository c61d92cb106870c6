"""What is registered here; plain text, so that listing imports nothing heavy."""

from cl_strategies.registry import Entry

ENTRIES: tuple[Entry, ...] = ()
