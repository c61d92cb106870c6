"""The mathematics of data-free quantization: pure functions of tensors.

ZeroQ (Cai et al., CVPR 2020), ZAQ (Liu et al., CVPR 2021), Qimera (Choi et al., NeurIPS 2021) and
IntraQ (Zhong et al., CVPR 2022).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
