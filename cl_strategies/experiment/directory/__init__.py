"""The folder of a run on the disk: its files, their owner, and doing the run again."""
