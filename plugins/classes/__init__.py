"""Which classes an experience brings, and what happens to the outputs of others."""
