"""The mathematics of calibration: pure functions of tensors.

Ranges by percentile, squared error and entropy; bias correction (Nagel et al., ICCV 2019); AdaRound
(Nagel et al., ICML 2020).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
