"""Terms that a method adds to the loss or to its gradient, once per step of the optimizer."""
