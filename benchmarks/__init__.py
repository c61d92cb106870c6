"""Benchmark streams under one contract, and the data sets behind them.

>>> from cl_strategies.benchmarks import load
>>> benchmark = load("split-digits", n_experiences=5, scenario="class")
>>> benchmark.info.n_classes
10
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
