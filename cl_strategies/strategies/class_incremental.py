"""The strategy around every class-incremental method that lives on exemplars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from cl_strategies.errors import UserError, unknown_name
from cl_strategies.models.classes import classes_of
from cl_strategies.plugins.exemplars.replay import CompressedReplayPlugin
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs, split_head
from cl_strategies.plugins.masking.boxes import make_boxes
from cl_strategies.registry import Entry
from cl_strategies.strategies.base import Strategy
from cl_strategies.strategies.left_out import copy_to_train, freeze_left_out

_METHODS = "cl_strategies.plugins.incremental"
_WHOLE = "needs all samples of its new classes in one experience"
HOSTS: tuple[Entry, ...] = (
    Entry(name="icarl", factory=f"{_METHODS}.icarl:ICaRLMethod", summary="iCaRL"),
    Entry(name="wa", factory=f"{_METHODS}.weight_aligning:WeightAligningMethod", summary="WA"),
    Entry(name="lucir", factory=f"{_METHODS}.lucir:LUCIRMethod", summary="LUCIR"),
    Entry(name="der-expandable", factory=f"{_METHODS}.expandable:ExpandableMethod", summary="DER"),
    Entry(name="foster", factory=f"{_METHODS}.foster:FosterMethod", summary="FOSTER"),
)


class ClassIncremental(Strategy):
    """Trains a network that grows on new classes and on exemplars of old ones.

    The network is a copy of ``model`` with the method's head in place of its own. The optimizer is
    kept, but in each phase its parameters are those that the method trains, with its initial
    options and without momentum; a schedule of the learning rate (``[train] schedule``,
    ``LRSchedulerPlugin``) begins anew with each phase, and with each stage of training that follows
    a phase.

    :param learner: the method; ``None`` trains ``model`` as it is.
    :param memory: the exemplars, joined to the data of each experience.
    :param model: a backbone below one head.
    :param optimizer: with one group of parameters.
    :param template: arguments of :class:`~cl_strategies.strategies.base.Strategy`.
    :raises UserError: for an optimizer with several groups, or a model without a single head.
    """

    wraps_model = True
    model: Any

    def __init__(
        self,
        *,
        learner: IncrementalMethod[Any] | None,
        memory: CompressedReplayPlugin,
        model: nn.Module,
        optimizer: Optimizer,
        **template: Any,
    ) -> None:
        self.learner = learner
        self.memory = memory
        self.phase_rates: list[float] = []  # that the epochs of a phase had so far
        self._outputs: Outputs | None = None
        self._options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
        if learner is None or isinstance(model, IncrementalNetwork):
            freeze_left_out(model, optimizer)
        if learner is not None:
            if len(optimizer.param_groups) != 1:
                raise UserError(
                    f"the optimizer has {len(optimizer.param_groups)} groups of parameters, but "
                    "the parameters change with each phase: give one group"
                )
            if not isinstance(model, IncrementalNetwork):
                last = [*model.parameters()][-1:]
                network = learner.network(*split_head(copy_to_train(model, optimizer)))
                if last:
                    network.match(last[0])
                model = network
            self.needs_whole_experiences = _WHOLE  # type: ignore[misc]
        super().__init__(method=[memory], model=model, optimizer=optimizer, **template)
        self._phases: list[list[int]] = []
        if learner is not None:
            self.make_optimizer()  # it has the parameters of the user's model, not of the copy

    # ------------------------------------------------------------------ a phase

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Begin a phase."""
        self.phase_rates = []
        if self.learner is None:
            super().check_model_and_optimizer(**kwargs)
            return
        self.model = self.model_adaptation()
        classes = sorted(set(classes_of(self.experience)) - set(self.model.order))
        if not classes:
            raise _nothing_new(self.experience)
        if not self._phases:
            _check_stream(self.experience)
        self.learner.begin(self, classes)
        self._phases.append(classes)
        self.model.to(self.device)
        self.make_optimizer()

    @property
    def initial_options(self) -> dict[str, Any]:
        """The optimizer's options at the start of each phase."""
        return dict(self._options)

    def make_optimizer(self, **kwargs: Any) -> None:
        """Let the optimizer hold what is trained in this phase, with its initial options."""
        if self.learner is None:
            super().make_optimizer(**kwargs)
            return
        group = self.optimizer.param_groups[0]
        group.update(self._options)
        group["params"] = [p for p in self.model.parameters() if p.requires_grad and p.numel()]
        self.optimizer.state.clear()

    def _after_train_dataset_adaptation(self, **kwargs: Any) -> None:
        super()._after_train_dataset_adaptation(**kwargs)
        if self.learner is not None:
            self.learner.hold_out(self)

    def forward(self) -> Any:
        """The network's output; in training, what the loss needs besides is kept aside."""
        if self.learner is None or not self.is_training:
            return super().forward()
        with self.model.watching() as seen:
            logits = super().forward()
        self._outputs = seen[-1]
        return logits

    def criterion(self) -> Any:
        """The method's loss in training, the criterion in evaluation."""
        if self.learner is None or not self.is_training or self._outputs is None:
            return super().criterion()
        outputs, self._outputs = self._outputs, None
        return self.learner.loss(self, outputs, self.mb_x, self.model.unit_of(self.mb_y))

    def _after_training_epoch(self, **kwargs: Any) -> None:
        self.phase_rates.append(self.optimizer.param_groups[0]["lr"])
        if self.learner is not None:
            self.learner.after_epoch(self)
        super()._after_training_epoch(**kwargs)

    def _after_training_exp(self, **kwargs: Any) -> None:
        if self.learner is not None:
            self.learner.finish(self)
            self.model.settled = True
        super()._after_training_exp(**kwargs)
        if self.learner is not None:
            self.model.settled = False
            self.learner.conclude(self)
            self.make_optimizer()  # parts of the network may be gone
        self.phase_rates = []

    # ------------------------------------------------------------------ state

    def method_state_dict(self) -> dict[str, Any] | None:
        """The classes of each phase; all else is in the network or the memory."""
        if self.learner is None:
            return None
        phases = [list(phase) for phase in self._phases]
        return {"phases": phases, "structure": self.learner.structure(self.model)}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the network the shape it had, so that its tensors can be loaded."""
        if self.learner is not None:
            self._phases = [list(phase) for phase in state["phases"]]
            self.learner.rebuild(self.model, self._phases, state["structure"])
            self.model.to(self.device)
            self.make_optimizer()


def _check_stream(first: Any) -> None:
    """:raises UserError: if a later experience of the stream of ``first`` has no new class."""
    stream: Any = getattr(first, "origin_stream", None)
    experiences = getattr(stream, "exps_iter", stream)  # sized or not, but not used up by reading
    if not isinstance(experiences, Iterable) or isinstance(experiences, Iterator):
        return
    seen: set[int] = set()
    for experience in stream:
        new = set(classes_of(experience)) - seen
        if not new:
            raise _nothing_new(experience)
        seen |= new


def _nothing_new(experience: Any) -> UserError:
    return UserError(
        f"experience {experience.current_experience} has no new class: this method needs a "
        "class-incremental stream with new classes in each experience"
    )


def host_loss(strategy: Any, network: Any, x: Tensor, y: Tensor) -> Tensor:
    """The loss of a strategy's method, for the inner step of CIM.

    :param network: ``strategy.model`` with other weights, perhaps.
    """
    with strategy.model.watching() as seen:
        network(x)
    loss: Tensor = strategy.learner.loss(strategy, seen[-1], x, strategy.model.unit_of(y))
    return loss


def exemplar_memory(
    *, mem_bytes: int, codec: str, boxes: str, growing: bool
) -> CompressedReplayPlugin:
    """The memory that these methods share: herded, and joined to the data of an experience."""
    return CompressedReplayPlugin(
        mem_bytes,
        codec=codec,
        boxes=make_boxes(boxes),
        order="herding",
        growing=growing,
        join="concat",
    )


def make_host(host: str) -> IncrementalMethod[Any] | None:
    """The method that CIM or MRDC plugs into, by name.

    :param host: a name of :data:`HOSTS`, with options behind a colon, such as
        ``"foster:compress_epochs=20,beta=0.95"``.
    :returns: ``None`` for ``"replay"``, which trains the model as it is.
    :raises UserError: for an unknown name or option, or an option out of its range.
    """
    name, _, settings = host.partition(":")
    hosts = {entry.name: entry for entry in HOSTS}
    if name == "replay" and not settings:
        return None
    if name not in hosts:
        raise unknown_name("host", name, ["replay", *hosts])
    entry = hosts[name]
    made: IncrementalMethod[Any] = entry.load()(**entry.parse_options(settings))
    return made
