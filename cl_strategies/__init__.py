"""Continual-learning strategies, streams and honest comparisons on top of Avalanche."""

from pathlib import Path

import lazy_loader

from cl_strategies import compat
from cl_strategies._version import __version__ as __version__
from cl_strategies.checkout import check_one_checkout

check_one_checkout(Path(__file__).resolve().parent)
compat.install()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
