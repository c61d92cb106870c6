from .decomposition import consolidate as consolidate
from .decomposition import decomposed_weight as decomposed_weight
from .decomposition import decomposition_penalty as decomposition_penalty
from .decomposition import hard_threshold as hard_threshold
from .ensemble import fast_linear as fast_linear
from .ensemble import fast_weight as fast_weight
from .reprogramming import identity_kernels as identity_kernels
from .reprogramming import reprogram as reprogram
