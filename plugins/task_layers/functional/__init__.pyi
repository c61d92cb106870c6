from .ensemble import fast_linear as fast_linear
from .ensemble import fast_weight as fast_weight
