"""What strategies are built on: Avalanche templates and what they share."""
