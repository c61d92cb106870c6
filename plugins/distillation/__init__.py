"""Terms of the loss that hold what an old network computes."""
