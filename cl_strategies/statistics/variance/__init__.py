"""What varies: task orders, seeds, and the rest."""
