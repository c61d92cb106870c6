"""Low-bit weights and activations: quantisers, AlignQ, LifeQuant, packing and measures."""
