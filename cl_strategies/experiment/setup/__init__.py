"""From a configuration to the objects of a run, and the process that they live in."""
