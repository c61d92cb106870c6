"""What a run predicted for every test sample, after each experience: files, written and read."""
