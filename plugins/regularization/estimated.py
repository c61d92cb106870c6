"""EWC and MAS on the quadratic core: importances from one more pass over the finished task.

Avalanche's plugins walk over every parameter of every past experience in each step. Past
penalties add up, ``sum_k F_k (theta - theta_k)**2 = F (theta - m)**2 + constant`` with
``F = sum_k F_k`` and ``m = sum_k F_k theta_k / F``, so that two tensors and the cost of one
penalty give the same gradients after any number of experiences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from avalanche.models import avalanche_forward
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cl_strategies.errors import UserError
from cl_strategies.plain import shown
from cl_strategies.plugins.modes import evaluating
from cl_strategies.plugins.regularization.functional import check_not_negative
from cl_strategies.plugins.regularization.plugin import SurrogatePlugin
from cl_strategies.plugins.regularization.surrogate import QuadraticSurrogate
from cl_strategies.plugins.seen_classes import rule_out_unseen
from cl_strategies.ranges import fraction


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

    :param surrogate: the method's merging rule.
    """

    def __init__(self, surrogate: EstimatedSurrogate) -> None:
        super().__init__(surrogate)
        self.surrogate: EstimatedSurrogate = surrogate

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.surrogate.end_experience_with(self.estimate(strategy))

    def estimate(self, strategy: Any) -> dict[str, Tensor]:
        """Importances on the current experience, by parameter name."""
        model, dataset = strategy.model, strategy.experience.dataset
        loader = DataLoader(
            dataset, batch_size=strategy.train_mb_size, collate_fn=dataset.collate_fn
        )
        parameters = dict(model.named_parameters())
        estimate = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        with evaluating(model):
            for batch in loader:
                x, y = batch[0].to(strategy.device), batch[1].to(strategy.device)
                output = avalanche_forward(model, x, batch[-1])
                output = rule_out_unseen(strategy, output, batch[-1])
                self.add_contributions(strategy, output, y, parameters, estimate, len(loader))
        strategy.optimizer.zero_grad()
        return estimate

    def add_contributions(
        self,
        strategy: Any,
        output: Tensor,
        labels: Tensor,
        parameters: Mapping[str, nn.Parameter],
        estimate: Mapping[str, Tensor],
        share: int,
    ) -> None:
        """Add what one batch contributes, divided by ``share``, to the importances.

        :param output: of the model, with its graph.
        :param parameters: by name; ``estimate``: their importances so far, in the same order.
        """
        strategy.optimizer.zero_grad()
        self.objective(strategy, output, labels).backward()
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                estimate[name].add_(self.contribution(parameter.grad) / share)

    def objective(self, strategy: Any, output: Tensor, labels: Tensor) -> Tensor:
        """What is differentiated, a scalar for a batch."""
        raise NotImplementedError

    def contribution(self, gradient: Tensor) -> Tensor:
        """What one batch's gradient adds to the importance."""
        raise NotImplementedError


class EWCPlugin(EstimatedPlugin):
    """Elastic weight consolidation with Avalanche's estimate: the squared gradient of the mean
    loss of a batch, averaged over batches (it depends on the batch size; the Fisher information
    proper would square the gradient of each sample).

    :param ewc_lambda: strength; there is no factor 1/2.
    :param mode: ``"separate"``: a penalty per task; ``"online"``: one, with decaying importances.
    :param decay_factor: in online mode, weight of the old importances after a task.
    :param exclude: patterns of names of parameters to leave alone.
    :raises UserError: for an option out of its range.
    """

    def __init__(
        self,
        ewc_lambda: float,
        mode: str = "separate",
        decay_factor: float = 1.0,
        *,
        exclude: Sequence[str] = (),
    ) -> None:
        check_not_negative(ewc_lambda=ewc_lambda)
        if mode not in ("separate", "online"):
            raise UserError(f"mode is {shown(mode)}: use separate or online")
        fraction(decay_factor=decay_factor)
        super().__init__(
            SumSurrogate(c=ewc_lambda, exclude=exclude)
            if mode == "separate"
            else DecayingSurrogate(c=ewc_lambda, old=decay_factor, new=1.0, exclude=exclude)
        )

    def objective(self, strategy: Any, output: Tensor, labels: Tensor) -> Tensor:
        return strategy._criterion(output, labels)

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
