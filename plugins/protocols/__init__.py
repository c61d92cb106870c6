"""What plugins need of a strategy."""
