"""Networks whose weights are distributions."""
