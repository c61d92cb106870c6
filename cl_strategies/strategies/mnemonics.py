"""Mnemonics (Liu, Su, Liu, Schiele, Sun, CVPR 2020)."""

from __future__ import annotations

from cl_strategies.plugins.incremental.methods.mnemonics import MnemonicsMethod
from cl_strategies.strategies.templates.class_incremental import ClassIncremental


class Mnemonics(ClassIncremental):
    """LUCIR whose new exemplars are trained as pixels."""

    learner_class = MnemonicsMethod
