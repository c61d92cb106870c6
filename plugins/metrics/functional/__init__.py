"""The metrics of continual learning as pure functions of what was measured.

:mod:`.matrix` has those of the accuracy matrix, the files beside it those of traces within
training, of predictions and of costs. :data:`DEFINITIONS` says for every key what it is, which
direction is better, when it is undefined and where it comes from.

Undefined is NaN, never 0: a metric that needs something that was not measured is not the mean of
what happens to be there.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
