"""One run: build, train, evaluate, record and resume."""
