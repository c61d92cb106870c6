"""HALRP's mathematics: pure functions of tensors.

Li et al., "Hessian Aware Low-Rank Perturbation for Order-Robust Continual Learning".
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
