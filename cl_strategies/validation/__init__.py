"""Checks of what users give, and the errors that say what was wrong."""
