"""The strategy around every class-incremental method that lives on exemplars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer

from cl_strategies.errors import UserError
from cl_strategies.plugins.classes.class_order import classes_of
from cl_strategies.plugins.exemplars.options import BoxRuleName, CodecName, Growing, MemBytes
from cl_strategies.plugins.exemplars.replay.plugin import CompressedReplayPlugin
from cl_strategies.plugins.incremental.method import IncrementalMethod
from cl_strategies.plugins.incremental.network import IncrementalNetwork, Outputs, split_head
from cl_strategies.plugins.masking.boxes import make_boxes
from cl_strategies.strategies.templates.base import Strategy
from cl_strategies.strategies.templates.frozen_parameters import copy_to_train, freeze_left_out
from cl_strategies.validation.hyperparameters import build_part, hyperparameters

_WHOLE = "needs all samples of its new classes in one experience"


class ClassIncremental(Strategy):
    """Trains a network that grows on new classes and on exemplars of old ones.

    The network is a copy of ``model`` with the method's head in place of its own. The optimizer is
    kept, but in each experience its parameters are those that the method trains, with its initial
    options and without momentum; a schedule of the learning rate (``[train] schedule``,
    ``LRSchedulerPlugin``) starts again with each experience, and with each stage of training that
    follows it.

    A method of exemplars is a subclass that names its ``learner_class``, whose options become its
    own, beside those of :func:`exemplar_memory`; or one that makes both itself.

    :param model: a backbone below one head.
    :param optimizer: with one group of parameters.
    :param template: arguments of :class:`~cl_strategies.strategies.templates.base.Strategy`.
    :raises UserError: for an optimizer with several groups, or a model without a single head.
    """

    #: The method, which takes the options that it declares.
    learner_class: ClassVar[Callable[..., IncrementalMethod[Any]]]
    wraps_model = True
    model: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "learner_class" in cls.__dict__:
            cls.parts = (cls.learner_class, exemplar_memory)
        super().__init_subclass__(**kwargs)

    def make_parts(
        self, options: dict[str, Any]
    ) -> tuple[IncrementalMethod[Any] | None, CompressedReplayPlugin]:
        """Return the method, or ``None`` to train the model as it is, and the memory of exemplars.

        :param options: all that the constructor was given; what is used here is taken out.
        """
        learner, memory = (build_part(part, options) for part in type(self).parts)
        return learner, memory

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        **template: Any,
    ) -> None:
        self.learner, self.memory = learner, memory = self.make_parts(template)
        self.experience_rates: list[float] = []  # that the epochs of an experience had so far
        self._outputs: Outputs | None = None
        self._options = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
        if learner is None or isinstance(model, IncrementalNetwork):
            freeze_left_out(model, optimizer)
        if learner is not None:
            if len(optimizer.param_groups) != 1:
                raise UserError(
                    f"the optimizer has {len(optimizer.param_groups)} groups of parameters, but "
                    "the parameters change with each experience: give one group"
                )
            if not isinstance(model, IncrementalNetwork):
                last = [*model.parameters()][-1:]
                network = learner.network(*split_head(copy_to_train(model, optimizer)))
                if last:
                    network.match(last[0])
                model = network
            self.needs_whole_experiences = _WHOLE  # type: ignore[misc]
        super().__init__(method=[memory], model=model, optimizer=optimizer, **template)
        self._experiences_so_far: list[list[int]] = []
        if learner is not None:
            self.make_optimizer()  # it has the parameters of the user's model, not of the copy

    # ------------------------------------------------------------------ an experience

    def check_model_and_optimizer(self, **kwargs: Any) -> None:
        """Begin an experience."""
        self.experience_rates = []
        if self.learner is None:
            super().check_model_and_optimizer(**kwargs)
            return
        self.model = self.model_adaptation()
        classes = sorted(set(classes_of(self.experience)) - set(self.model.order))
        if not classes:
            raise _nothing_new(self.experience)
        if not self._experiences_so_far:
            _check_stream(self.experience)
        self.learner.begin(self, classes)
        self._experiences_so_far.append(classes)
        self.model.to(self.device)
        self.make_optimizer()

    @property
    def initial_options(self) -> dict[str, Any]:
        """The optimizer's options at the start of each experience."""
        return dict(self._options)

    def make_optimizer(self, **kwargs: Any) -> None:
        """Let the optimizer hold what is trained in this experience, with its initial options."""
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
        """Return the network's output; in training, what the loss needs besides is kept aside."""
        if self.learner is None or not self.is_training:
            return super().forward()
        with self.model.watching() as seen:
            logits = super().forward()
        self._outputs = seen[-1]
        return logits

    def criterion(self) -> Any:
        """Return the method's loss in training, the criterion in evaluation."""
        if self.learner is None or not self.is_training or self._outputs is None:
            return super().criterion()
        outputs, self._outputs = self._outputs, None
        return self.learner.loss(self, outputs, self.mb_x, self.model.index_of(self.mb_y))

    def _after_training_epoch(self, **kwargs: Any) -> None:
        self.experience_rates.append(self.optimizer.param_groups[0]["lr"])
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
        self.experience_rates = []

    # ------------------------------------------------------------------ state

    def method_state_dict(self) -> dict[str, Any] | None:
        """Return the classes of each experience; all else is in the network or the memory."""
        if self.learner is None:
            return None
        experiences = [list(experience) for experience in self._experiences_so_far]
        return {"experiences": experiences, "structure": self.learner.structure(self.model)}

    def load_method_state_dict(
        self, state: Mapping[str, Any], experiences: Sequence[Any] = ()
    ) -> None:
        """Give the network the shape it had, so that its tensors can be loaded."""
        if self.learner is not None:
            self._experiences_so_far = [list(experience) for experience in state["experiences"]]
            self.learner.rebuild(self.model, self._experiences_so_far, state["structure"])
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


@hyperparameters
def exemplar_memory(
    *,
    mem_bytes: MemBytes = 200_000,
    codec: CodecName = "raw",
    boxes: BoxRuleName = "cam",
    growing: Growing = False,
) -> CompressedReplayPlugin:
    """Return the memory that these methods share: herded, and joined to the data of an experience.

    :raises UserError: for an option out of its range.
    """
    return CompressedReplayPlugin(
        mem_bytes=mem_bytes,
        codec=codec,
        boxes=make_boxes(boxes),
        order="herding",
        growing=growing,
        join="concat",
    )
