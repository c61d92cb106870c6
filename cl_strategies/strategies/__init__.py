"""Strategies: Avalanche templates with one method each, imported when first used."""

from typing import TYPE_CHECKING

from cl_strategies._lazy import lazy_exports

if TYPE_CHECKING:
    from cl_strategies.strategies.aanets import AANets as AANets
    from cl_strategies.strategies.agem import AGEM as AGEM
    from cl_strategies.strategies.alasso import ALASSO as ALASSO
    from cl_strategies.strategies.alignq import AlignQ as AlignQ
    from cl_strategies.strategies.base import Strategy as Strategy
    from cl_strategies.strategies.batch_ensemble import BatchEnsemble as BatchEnsemble
    from cl_strategies.strategies.batch_norm import PerTaskBatchNorm as PerTaskBatchNorm
    from cl_strategies.strategies.bic import BiC as BiC
    from cl_strategies.strategies.cim import CIM as CIM
    from cl_strategies.strategies.cim import CompressedReplay as CompressedReplay
    from cl_strategies.strategies.cumulative import Cumulative as Cumulative
    from cl_strategies.strategies.dark_er import DarkER as DarkER
    from cl_strategies.strategies.der_expandable import (
        ExpandableRepresentation as ExpandableRepresentation,
    )
    from cl_strategies.strategies.ewc import EWC as EWC
    from cl_strategies.strategies.foster import FOSTER as FOSTER
    from cl_strategies.strategies.gdumb import GDumb as GDumb
    from cl_strategies.strategies.gpm import GPM as GPM
    from cl_strategies.strategies.halrp import HALRP as HALRP
    from cl_strategies.strategies.icarl import ICaRL as ICaRL
    from cl_strategies.strategies.joint import Joint as Joint
    from cl_strategies.strategies.l2 import L2 as L2
    from cl_strategies.strategies.lifequant import LifeQuant as LifeQuant
    from cl_strategies.strategies.lucir import LUCIR as LUCIR
    from cl_strategies.strategies.lwf import LwF as LwF
    from cl_strategies.strategies.mas import MAS as MAS
    from cl_strategies.strategies.mnemonics import Mnemonics as Mnemonics
    from cl_strategies.strategies.mrdc import MRDC as MRDC
    from cl_strategies.strategies.naive import Naive as Naive
    from cl_strategies.strategies.pfr import PFR as PFR
    from cl_strategies.strategies.podnet import PODNet as PODNet
    from cl_strategies.strategies.replay import Replay as Replay
    from cl_strategies.strategies.rwalk import RWalk as RWalk
    from cl_strategies.strategies.scp import SCP as SCP
    from cl_strategies.strategies.si import SI as SI
    from cl_strategies.strategies.single_task import SingleTask as SingleTask
    from cl_strategies.strategies.wa import WA as WA
    from cl_strategies.strategies.wsn import WSN as WSN

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AANets": "cl_strategies.strategies.aanets",
        "BiC": "cl_strategies.strategies.bic",
        "ExpandableRepresentation": "cl_strategies.strategies.der_expandable",
        "FOSTER": "cl_strategies.strategies.foster",
        "ICaRL": "cl_strategies.strategies.icarl",
        "LUCIR": "cl_strategies.strategies.lucir",
        "MRDC": "cl_strategies.strategies.mrdc",
        "Mnemonics": "cl_strategies.strategies.mnemonics",
        "PODNet": "cl_strategies.strategies.podnet",
        "WA": "cl_strategies.strategies.wa",
        "AGEM": "cl_strategies.strategies.agem",
        "ALASSO": "cl_strategies.strategies.alasso",
        "AlignQ": "cl_strategies.strategies.alignq",
        "CIM": "cl_strategies.strategies.cim",
        "CompressedReplay": "cl_strategies.strategies.cim",
        "BatchEnsemble": "cl_strategies.strategies.batch_ensemble",
        "Cumulative": "cl_strategies.strategies.cumulative",
        "DarkER": "cl_strategies.strategies.dark_er",
        "EWC": "cl_strategies.strategies.ewc",
        "GDumb": "cl_strategies.strategies.gdumb",
        "GPM": "cl_strategies.strategies.gpm",
        "HALRP": "cl_strategies.strategies.halrp",
        "Joint": "cl_strategies.strategies.joint",
        "L2": "cl_strategies.strategies.l2",
        "LifeQuant": "cl_strategies.strategies.lifequant",
        "LwF": "cl_strategies.strategies.lwf",
        "MAS": "cl_strategies.strategies.mas",
        "Naive": "cl_strategies.strategies.naive",
        "PFR": "cl_strategies.strategies.pfr",
        "PerTaskBatchNorm": "cl_strategies.strategies.batch_norm",
        "RWalk": "cl_strategies.strategies.rwalk",
        "Replay": "cl_strategies.strategies.replay",
        "SCP": "cl_strategies.strategies.scp",
        "SI": "cl_strategies.strategies.si",
        "SingleTask": "cl_strategies.strategies.single_task",
        "Strategy": "cl_strategies.strategies.base",
        "WSN": "cl_strategies.strategies.wsn",
    },
)
