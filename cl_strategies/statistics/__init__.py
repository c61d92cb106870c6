"""Comparing scores: intervals, tests, what can be said of methods, and how many seeds it takes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
