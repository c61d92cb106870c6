"""A subnetwork of one network for each task (WSN)."""
