"""Reading the run directories of a comparison."""
