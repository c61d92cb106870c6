"""What a run is beside its configuration: the data it sees and the code that computes it."""
