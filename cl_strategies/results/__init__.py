"""The record of a run as it lies on the disk, and what its numbers mean."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
