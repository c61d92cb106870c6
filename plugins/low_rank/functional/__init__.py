"""Low-rank weights of tasks: pure functions of tensors.

Those of HALRP (Li et al., "Hessian Aware Low-Rank Perturbation for Order-Robust Continual
Learning"), and in :mod:`rank_update` those of IRU.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
