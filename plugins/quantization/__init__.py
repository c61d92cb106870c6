"""Low-bit weights and activations: quantizers, AlignQ, LifeQuant, packing and measures."""
