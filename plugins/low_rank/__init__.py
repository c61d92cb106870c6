"""Low-rank weights of tasks: on a frozen base network (HALRP), or on their own (IRU)."""
