"""EWC and MAS on the quadratic core: importances from one more pass over the finished task.

Avalanche's plugins walk over every parameter of every past experience in each step. Past
penalties add up, ``sum_k F_k (theta - theta_k)**2 = F (theta - m)**2 + constant`` with
``F = sum_k F_k`` and ``m = sum_k F_k theta_k / F``, so that two tensors and the cost of one
penalty give the same gradients after any number of experiences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.plain import shown
from cl_strategies.plugins.modes import evaluating
from cl_strategies.plugins.regularization.fisher import sample_fisher
from cl_strategies.plugins.regularization.functional import check_not_negative
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate
from cl_strategies.plugins.seen_classes import rule_out_unseen, unseen_ruled_out
from cl_strategies.ranges import fraction, whole

#: How EWC estimates importances, and which labels a gradient per sample is taken at.
FISHERS = {"batch": "", "empirical": "true", "sampled": "sampled", "exact": "expected"}


class EstimatedSurrogate(QuadraticSurrogate):
    """A surrogate whose importances are handed to it at the end of each task."""

    needs_path: ClassVar[bool] = False

    @torch.no_grad()
    def end_experience_with(self, estimate: Mapping[str, Tensor]) -> None:
        """:meth:`end_experience` with the importances of the finished task, by parameter name."""
        self._estimate = self._layout.zeros()
        for name, part in self._layout.split(self._estimate).items():
            part.copy_(estimate[name])
        self.end_experience()
        del self._estimate

    def consolidate(self, state: Mapping[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        return self.merge(state["importance"], state["center"], self._estimate, theta)

    def merge(
        self, importance: Tensor, center: Tensor, estimate: Tensor, theta: Tensor
    ) -> dict[str, Tensor]:
        """Importance and, unless it is ``theta``, center of all tasks; elementwise."""
        raise NotImplementedError


class SumSurrogate(EstimatedSurrogate):
    """EWC with a penalty per task around that task's parameters: Kirkpatrick et al., PNAS 2017."""

    def merge(
        self, importance: Tensor, center: Tensor, estimate: Tensor, theta: Tensor
    ) -> dict[str, Tensor]:
        total = importance + estimate
        share = torch.where(total > 0, estimate / total, torch.ones_like(total))
        return {"importance": total, "center": torch.lerp(center, theta, share)}


class DecayingSurrogate(EstimatedSurrogate):
    """One penalty around the last parameters: online EWC (Schwarz et al., ICML 2018), MAS.

    :param old: weight of the old importances.
    :param new: weight of the new ones after the first task.
    """

    def __init__(self, *, c: float, old: float, new: float, exclude: Sequence[str] = ()) -> None:
        super().__init__(c=c, exclude=exclude)
        self.old, self.new = old, new

    def merge(
        self, importance: Tensor, center: Tensor, estimate: Tensor, theta: Tensor
    ) -> dict[str, Tensor]:
        if self.experiences == 0:
            return {"importance": estimate}
        return {"importance": self.old * importance + self.new * estimate}


class EstimatedPlugin(SurrogatePlugin):
    """Estimates importances in evaluation mode over the batches of the finished experience.

    Where gradients accumulated over several mini-batches before each step of the optimizer, a
    batch is as many of them together.

    :param surrogate: the method's merging rule.
    """

    def __init__(self, surrogate: EstimatedSurrogate) -> None:
        super().__init__(surrogate)
        self.surrogate: EstimatedSurrogate = surrogate

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.surrogate.end_experience_with(self.estimate(strategy))

    def estimated_on(self, strategy: Any) -> Any:
        """The data set to estimate the importances on."""
        return strategy.experience.dataset

    def batches(self, strategy: Any) -> DataLoader[Any]:
        """That data set in batches of the training's size, in order."""
        dataset = self.estimated_on(strategy)
        return DataLoader(dataset, batch_size=strategy.train_mb_size, collate_fn=dataset.collate_fn)

    def outputs(self, strategy: Any, batch: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Output of the model, with its graph, and labels of one mini-batch."""
        x, y = batch[0].to(strategy.device), batch[1].to(strategy.device)
        output = avalanche_forward(strategy.model, x, batch[-1])
        return rule_out_unseen(strategy, output, batch[-1]), y

    def estimate(self, strategy: Any) -> dict[str, Tensor]:
        """Importances on the current experience, by parameter name."""
        model, loader = strategy.model, self.batches(strategy)
        parameters = dict(model.named_parameters())
        estimate = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        passes = self._passes.per_step
        with evaluating(model):
            for batches in _together(loader, passes):
                share = -(-len(loader) // passes)
                self.add_contributions(strategy, batches, parameters, estimate, share)
        return estimate

    def add_contributions(
        self,
        strategy: Any,
        batches: Sequence[Sequence[Any]],
        parameters: Mapping[str, nn.Parameter],
        estimate: Mapping[str, Tensor],
        share: int,
    ) -> None:
        """Add what one batch contributes, divided by ``share``, to the importances.

        :param batches: its mini-batches.
        :param parameters: by name; ``estimate``: their importances so far, in the same order.
        """
        trained = {name: p for name, p in parameters.items() if p.requires_grad}
        samples = sum(len(batch[1]) for batch in batches)
        totals: dict[str, Tensor] = {}
        for batch in batches:
            output, labels = self.outputs(strategy, batch)
            objective = self.objective(strategy, output, labels) * (len(labels) / samples)
            gradients = torch.autograd.grad(objective, list(trained.values()), allow_unused=True)
            for name, gradient in zip(trained, gradients, strict=True):
                if gradient is not None:
                    totals[name] = gradient + totals[name] if name in totals else gradient
        for name, gradient in totals.items():
            estimate[name].add_(self.contribution(gradient) / share)

    def objective(self, strategy: Any, output: Tensor, labels: Tensor) -> Tensor:
        """What is differentiated, a scalar for a batch."""
        raise NotImplementedError

    def contribution(self, gradient: Tensor) -> Tensor:
        """What one batch's gradient adds to the importance."""
        raise NotImplementedError


def _together(loader: DataLoader[Any], count: int) -> Iterator[list[Any]]:
    """Lists of ``count`` batches, the last one of what is left."""
    batches = iter(loader)
    while group := list(islice(batches, count)):
        yield group


class EWCPlugin(EstimatedPlugin):
    """Elastic weight consolidation (Kirkpatrick et al., PNAS 2017).

    :param ewc_lambda: strength; there is no factor 1/2.
    :param mode: ``"separate"``: a penalty per task; ``"online"``: one, with decaying importances.
    :param decay_factor: in online mode, weight of the old importances after a task.
    :param fisher: the importances: ``"batch"``, as in Avalanche: the squared gradient of the mean
        loss of a batch, averaged over batches, which depends on the batch size. Otherwise the
        Fisher information, the mean squared gradient of single samples: ``"empirical"`` with true
        labels, ``"sampled"`` with labels drawn from the model's distribution as in the paper, or
        ``"exact"``, the expectation over that distribution.
    :param fisher_samples: training samples to take it from, drawn at random; ``None`` for all.
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        ewc_lambda: float,
        mode: str = "separate",
        decay_factor: float = 1.0,
        *,
        fisher: str = "batch",
        fisher_samples: int | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        check_not_negative(ewc_lambda=ewc_lambda)
        if mode not in ("separate", "online"):
            raise UserError(f"mode is {shown(mode)}: use separate or online")
        fraction(decay_factor=decay_factor)
        if fisher not in FISHERS:
            raise unknown_name("fisher", fisher, FISHERS)
        if fisher_samples is not None:
            whole(1, fisher_samples=fisher_samples)
        super().__init__(
            SumSurrogate(c=ewc_lambda, exclude=exclude)
            if mode == "separate"
            else DecayingSurrogate(c=ewc_lambda, old=decay_factor, new=1.0, exclude=exclude)
        )
        self.fisher = fisher
        self.fisher_samples = fisher_samples

    def estimated_on(self, strategy: Any) -> Any:
        dataset = super().estimated_on(strategy)
        if self.fisher_samples is None or self.fisher_samples >= len(dataset):
            return dataset
        return dataset.subset(torch.randperm(len(dataset))[: self.fisher_samples].tolist())

    def estimate(self, strategy: Any) -> dict[str, Tensor]:
        if self.fisher == "batch":
            return super().estimate(strategy)
        model, device = strategy.model, strategy.device
        batches = ((b[0].to(device), b[1].to(device).long(), b[-1]) for b in self.batches(strategy))
        with evaluating(model), unseen_ruled_out(strategy):
            return sample_fisher(model, batches, FISHERS[self.fisher], strategy._criterion)

    def objective(self, strategy: Any, output: Tensor, labels: Tensor) -> Tensor:
        return strategy._criterion(output, labels.long())

    def contribution(self, gradient: Tensor) -> Tensor:
        return gradient.square()


class MASPlugin(EstimatedPlugin):
    """Memory aware synapses (Aljundi et al., ECCV 2018): the absolute gradient of the squared
    norm of the output, needing no labels.

    :param lambda_reg: strength; there is no factor 1/2.
    :param alpha: weight of the old importances when new ones are mixed in, in [0, 1].
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self, lambda_reg: float = 1.0, alpha: float = 0.5, *, exclude: Sequence[str] = ()
    ) -> None:
        check_not_negative(lambda_reg=lambda_reg)
        fraction(alpha=alpha)
        super().__init__(DecayingSurrogate(c=lambda_reg, old=alpha, new=1 - alpha, exclude=exclude))

    def objective(self, strategy: Any, output: Tensor, labels: Tensor) -> Tensor:
        return output.square().sum(dim=1).mean()

    def contribution(self, gradient: Tensor) -> Tensor:
        return gradient.abs()
