from .additive_powers import apot as apot
from .additive_powers import apot_levels as apot_levels
from .admm import admm_loss as admm_loss
from .admm import admm_update as admm_update
from .admm import correlation as correlation
from .balanced_loss import (
    balanced_cross_entropy as balanced_cross_entropy,
)
from .balanced_loss import (
    balanced_logits as balanced_logits,
)
from .cdf import cdf_align_activation as cdf_align_activation
from .cdf import cdf_align_weight as cdf_align_weight
from .dorefa import (
    dorefa_activation as dorefa_activation,
)
from .dorefa import (
    dorefa_weight as dorefa_weight,
)
from .dorefa import (
    pact as pact,
)
from .learned_offset import lsq_plus as lsq_plus
from .learned_step import llsq as llsq
from .learned_step import llsq_round_step as llsq_round_step
from .learned_step import lsq as lsq
from .prox import prox_weight as prox_weight
from .rounding import continuous as continuous
from .uniform import (
    binary as binary,
)
from .uniform import (
    uniform_minmax as uniform_minmax,
)
from .uniform import (
    uniform_range as uniform_range,
)
