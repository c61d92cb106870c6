"""Low-rank perturbation of a frozen base network (HALRP)."""
