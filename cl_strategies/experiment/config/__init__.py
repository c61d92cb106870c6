"""What a run or a comparison is: configurations and suites, checked."""
