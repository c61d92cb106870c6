"""Every pure function of this package in one place: no state, no Avalanche.

A quantizer takes a tensor and a bit-width (1 to 8, or 32 to pass the tensor through) and returns
the quantized values, in the tensor's shape and type. Its gradient is that of the same function
with the identity in place of rounding: :func:`continuous` shows that function.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
