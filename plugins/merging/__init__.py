"""One network out of those that the experiences left: incremental moment matching."""
