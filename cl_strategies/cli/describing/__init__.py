"""What there is, in words: names, suites, hyper-parameters."""
