"""Small multiples of factorial suites."""
