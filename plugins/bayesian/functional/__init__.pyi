from .coreset import k_center_order as k_center_order
from .gaussian import gaussian_kl as gaussian_kl
from .gaussian import gaussian_linear_moments as gaussian_linear_moments
