"""Many runs: comparisons, tuning, and the executors that compute them."""
