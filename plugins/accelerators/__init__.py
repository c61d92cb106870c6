"""Plugins that make a network compute faster, off unless added."""
