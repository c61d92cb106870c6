"""What the command line is asked: its options, and what they mean."""
