"""HALRP (Li, Lai, Wang, Shui, Sahoo, Ling, Yang, Wang, Gagné, Zhou, "Hessian Aware Low-Rank
Perturbation for Order-Robust Continual Learning", 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.plugins.data.plugin import ResidentDataPlugin
from cl_strategies.plugins.low_rank.algorithm import LowRankPerturbation
from cl_strategies.plugins.low_rank.model import HALRPModel
from cl_strategies.plugins.regularization.added import AddedGradient, PassCounter
from cl_strategies.plugins.regularization.loss_scale import LossScale
from cl_strategies.strategies.left_out import copy_to_train, freeze_left_out
from cl_strategies.strategies.task_model import TaskModelStrategy


class HALRP(TaskModelStrategy):
    """A frozen base network, and per task row and column scales plus a low-rank residual.

    The first experience trains the network as it is. A later one trains a copy of the base
    weights for ``warmup_epochs``, decomposes it, gives every layer a rank by how much the loss
    depends on it, and fine-tunes the factors, biases, normalisations and head of the task for
    the remaining epochs. Nothing that belongs to an old task changes afterwards, unless
    ``prune_old_tasks`` is set.

    ``strategy.model`` is a :class:`~cl_strategies.plugins.low_rank.model.HALRPModel` around a copy
    of ``model``. The optimizer is kept, but its parameters are those of
    the phase in training and nothing else, with fresh moments and the initial options in each
    phase; between experiences it holds none. The gradient of the regulariser is added after the
    backward pass: ``strategy.loss`` is the task loss.

    :param model: Linear, Conv2d and normalisation layers below a multi-head classifier.
    :param optimizer: with one group of parameters; the authors use Adam with a rate of 1e-3.
    :param alpha: loss approximation rate: the fraction of the estimated effect on the loss that
        the chosen ranks keep (Eq. 11).
    :param warmup_epochs: epochs of free training of a new task, n_r in the paper; the rest of
        ``train_epochs`` fine-tunes.
    :param l1: weight of the L1 norm of the low-rank factors, lambda_0 in Eq. 12; the
        paper uses 1e-6 on permuted MNIST and Five-dataset, 1e-4 on CIFAR-100.
    :param l2: weight of the squared norm of scales and factors, lambda_1 in Eq. 12. The authors'
        code halves it.
    :param importance: importance of a layer: ``"fisher_mean"``, the mean squared entry of its
        gradients as in the authors' code, or ``"grad_norm"``, the squared norm of its gradient
        (Eq. 11), which keeps as much accuracy in more ranks where layers differ in size.
    :param selection: ``"hessian"`` (Eq. 11), or for ablations ``"unweighted"`` or ``"random"``.
    :param max_rank: largest rank of a layer; the authors' code uses 100.
    :param max_growth: largest size of one task relative to the base network, everything that
        it stores included; the components that matter least for their size are given up before
        fine-tuning, with a warning that names the layers which keep none
        (``strategy.model.ranks()`` has all). ``None``: no cap, as in the paper.
    :param pruning: after a task: ``"none"``, ``"absolute"`` (entries up to ``threshold``),
        ``"percentile"`` (all but the largest ``gamma`` of the entries), ``"mixed"`` (both), or
        ``"budget"`` (exactly so many that the growth of the whole model is at most ``gamma``).
    :param threshold: absolute threshold of the pruning.
    :param gamma: fraction of entries to keep, or allowed growth for ``"budget"``.
    :param prune_old_tasks: prune all tasks together, as in the paper; it makes old tasks forget.
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for a model that cannot be perturbed, an optimizer with several groups,
        fewer epochs than the warm-up takes, or a hyper-parameter out of range.
    """

    model: HALRPModel
    dataloader: Any

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        alpha: float = 0.9,
        warmup_epochs: int = 1,
        l1: float = 1e-6,
        l2: float = 1e-4,
        importance: str = "fisher_mean",
        selection: str = "hessian",
        max_rank: int | None = None,
        max_growth: float | None = None,
        pruning: str = "absolute",
        threshold: float = 1e-5,
        gamma: float = 0.2,
        prune_old_tasks: bool = False,
        **template: Any,
    ) -> None:
        self.algorithm = LowRankPerturbation(
            alpha=alpha,
            l1=l1,
            l2=l2,
            importance=importance,
            selection=selection,
            max_rank=max_rank,
            max_growth=max_growth,
            pruning=pruning,
            threshold=threshold,
            gamma=gamma,
            prune_old_tasks=prune_old_tasks,
        )
        self.warmup_epochs = warmup_epochs
        self._added, self._scale, self._passes = AddedGradient(), LossScale(), PassCounter()
        if isinstance(model, HALRPModel):
            freeze_left_out(model, optimizer)
        else:
            model = HALRPModel(copy_to_train(model, optimizer))
        super().__init__(model=model, optimizer=optimizer, **template)
        if not 1 <= warmup_epochs <= self.train_epochs:
            raise UserError(
                f"warmup_epochs is {warmup_epochs} of {self.train_epochs} epochs in all: give at "
                "least 1, and train_epochs above it to leave some for fine-tuning"
            )

    @property
    def fixed_tasks(self) -> bool:
        """Unless finished tasks are pruned again."""
        return not (self.algorithm.prune_old_tasks and self.algorithm.pruning != "none")

    # ------------------------------------------------------------------ phases of a task

    def _before_training_epoch(self, **kwargs: Any) -> None:
        if self.model.warming_up and self.clock.train_exp_epochs >= self.warmup_epochs:
            self._decompose()
        super()._before_training_epoch(**kwargs)

    def _before_training_exp(self, **kwargs: Any) -> None:
        self._added, self._scale = AddedGradient(), LossScale()
        self._passes.begin()
        super()._before_training_exp(**kwargs)

    def settle(self) -> None:
        """Decompose what is still free, and prune."""
        if self.model.warming_up:  # stopped early, or no epoch left to fine-tune
            self._decompose()
        self.algorithm.prune(self.model)

    def _decompose(self) -> None:
        self.algorithm.decompose(self.model, self._task_batches(), self._criterion)
        self.make_optimizer()

    def _task_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The data of the experience once, in order and without augmentation."""
        dataset = self.experience.dataset.eval()
        collate = getattr(dataset, "collate_fn", None)
        training = self.dataloader
        size = self.train_mb_size * self._passes.per_step  # "fisher_mean" depends on it
        self.dataloader = DataLoader(dataset, batch_size=size, collate_fn=collate)
        for plugin in self.plugins:
            if isinstance(plugin, ResidentDataPlugin):
                plugin.before_eval_exp(self)
        batches, self.dataloader = self.dataloader, training
        for batch in batches:
            yield batch[0].to(self.device), batch[1].to(self.device)

    def _before_backward(self, **kwargs: Any) -> None:
        self._added.take_out()
        super()._before_backward(**kwargs)
        self._scale.before_backward(self)

    def _after_backward(self, **kwargs: Any) -> None:
        """Add the gradient of the regulariser, once per step, while fine-tuning."""
        scale = self._scale.after_backward(self)
        self._added.add(*self.algorithm.regulariser_gradient(self.model), scale)
        self._passes.after_backward()
        super()._after_backward(**kwargs)

    def _after_update(self, **kwargs: Any) -> None:
        self._passes.after_update()
        super()._after_update(**kwargs)
