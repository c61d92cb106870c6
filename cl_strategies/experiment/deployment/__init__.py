"""A finished run as a file that other programs run, and what that file computes."""
