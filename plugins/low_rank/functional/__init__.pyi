from .decomposition import (
    increment_ratio as increment_ratio,
)
from .decomposition import (
    least_squares_scales as least_squares_scales,
)
from .decomposition import (
    materialise as materialise,
)
from .decomposition import (
    residual as residual,
)
from .penalty import (
    add_regularizer_gradient_ as add_regularizer_gradient_,
)
from .penalty import (
    regularizer as regularizer,
)
from .pruning import (
    mixed_threshold as mixed_threshold,
)
from .pruning import (
    percentile_threshold as percentile_threshold,
)
from .pruning import (
    prune_below_ as prune_below_,
)
from .pruning import (
    prune_to_budget_ as prune_to_budget_,
)
from .rank_update import (
    initial_selector as initial_selector,
)
from .rank_update import (
    rank_update_size as rank_update_size,
)
from .rank_update import (
    selected_weight as selected_weight,
)
from .ranks import (
    fisher_mean as fisher_mean,
)
from .ranks import (
    grad_norm as grad_norm,
)
from .ranks import (
    limit_ranks as limit_ranks,
)
from .ranks import (
    random_components as random_components,
)
from .ranks import (
    select_ranks as select_ranks,
)
from .spectrum import Spectrum as Spectrum
from .spectrum import truncated_svd as truncated_svd
