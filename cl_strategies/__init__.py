"""Continual-learning strategies, streams and honest comparisons on top of Avalanche."""

from pathlib import Path
from typing import TYPE_CHECKING

from cl_strategies import compat
from cl_strategies._lazy import lazy_exports
from cl_strategies.checkout import check_one_checkout

check_one_checkout(Path(__file__).resolve().parent)
compat.install()

__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from cl_strategies.strategies.alasso import ALASSO as ALASSO
    from cl_strategies.strategies.alignq import AlignQ as AlignQ
    from cl_strategies.strategies.cim import CIM as CIM
    from cl_strategies.strategies.halrp import HALRP as HALRP
    from cl_strategies.strategies.l2 import L2 as L2
    from cl_strategies.strategies.lifequant import LifeQuant as LifeQuant
    from cl_strategies.strategies.si import SI as SI

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ALASSO": "cl_strategies.strategies.alasso",
        "AlignQ": "cl_strategies.strategies.alignq",
        "CIM": "cl_strategies.strategies.cim",
        "HALRP": "cl_strategies.strategies.halrp",
        "L2": "cl_strategies.strategies.l2",
        "LifeQuant": "cl_strategies.strategies.lifequant",
        "SI": "cl_strategies.strategies.si",
    },
)
