"""From a config to the objects of a run."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.templates.base_sgd import BaseSGDTemplate
from torch import nn

from cl_strategies.benchmarks import StreamInfo, from_avalanche
from cl_strategies.errors import UserError
from cl_strategies.experiment.config.rate_factors import rate_factors
from cl_strategies.experiment.config.run_config import ExperimentConfig, Named
from cl_strategies.experiment.config.train_config import TrainConfig
from cl_strategies.experiment.setup.divergence import FiniteGuard
from cl_strategies.experiment.setup.lr_schedule import ExponentialSchedule, LearningRateSchedule
from cl_strategies.experiment.setup.rate_groups import rate_groups
from cl_strategies.plugins import ContinualEvaluationPlugin, ResidentDataPlugin, SeenClassesPlugin
from cl_strategies.registry import registry


def build_benchmark(benchmark: Named) -> Any:
    """Return a stream under the contract; one of Avalanche's is brought under it.

    :raises DataMissingError: if its data set is not on this machine.
    :raises UserError: if what its factory makes is no benchmark.
    """
    made = registry("benchmarks")[benchmark.name].load()(**benchmark.options)
    if isinstance(getattr(made, "info", None), StreamInfo):
        return made
    return from_avalanche(made, name=benchmark.name)


def build_model(config: ExperimentConfig, info: Any) -> nn.Module:
    """Return a freshly initialized model for the stream that ``info`` describes."""
    _check_scenario("models", config.model.name, info)
    model = registry("models")[config.model.name].load()(
        input_shape=info.input_shape,
        n_classes=info.n_classes,
        scenario=info.scenario,
        **config.model.options,
    )
    return _checked_kind(model, nn.Module, config.model.name, "a torch.nn.Module")


def build_strategy(
    config: ExperimentConfig,
    info: Any,
    model: nn.Module,
    *,
    device: str,
    evaluator: Any,
    trace: ContinualEvaluationPlugin | None = None,
) -> Any:
    """Return the strategy with the engine's data path and its guard against divergence.

    :param model: at full precision; quantized in place if the configuration says so, before the
        strategy sees it, because some copy it.
    :param trace: evaluates during training.
    """
    _check_scenario("strategies", config.strategy.name, info)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(config.train, model)
    quantization = [] if config.quantization is None else [config.quantization.plugin()]
    for plugin in quantization:
        plugin.quantize(model, example=torch.zeros(1, *info.input_shape))
    strategy = _made(
        config,
        model=model,
        optimizer=optimizer,
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=config.train.batch_size,
        train_epochs=config.train.epochs,
        eval_mb_size=config.train.eval_batch_size,
        device=device,
        plugins=[
            SeenClassesPlugin(unseen_classes=config.train.unseen_classes),
            *quantization,
            *_schedule(config.train),
            FiniteGuard(),
            ResidentDataPlugin(),
            *([] if trace is None else [trace]),
        ],
        evaluator=evaluator,
        **config.strategy.options,
    )
    _checked_kind(strategy, BaseSGDTemplate, config.strategy.name, "a strategy of Avalanche's")
    for plugin in quantization:
        plugin.attach(strategy)
    _check_parts(config, strategy, info)
    for plugin in strategy.plugins:
        if hasattr(plugin, "check_stream"):  # for what a stream must bring
            plugin.check_stream(info)
    return strategy


def _made(config: ExperimentConfig, **arguments: Any) -> Any:
    """:raises UserError: of the strategy, with what in the configuration it is about."""
    kind = registry("strategies")[config.strategy.name].load()
    try:
        return kind(**arguments)
    except UserError as error:
        if config.train.lr_factors and "groups of parameters" in str(error):
            raise UserError(
                f"{config.strategy.name} does not work with train.lr_factors, which makes a group "
                f"of parameters for each factor ({error}): leave train.lr_factors out"
            ) from error
        raise


def _checked_kind(made: Any, kind: type, name: str, what: str) -> Any:
    """:raises UserError: if a factory made something else than is asked of it."""
    if not isinstance(made, kind):
        raise UserError(
            f"{name} makes a {type(made).__name__}, which is not {what} ({kind.__name__}): name a "
            "class derived from it, or a function that returns one"
        )
    return made


def _schedule(train: TrainConfig) -> list[LearningRateSchedule]:
    if train.schedule == "constant":
        return []
    if train.schedule == "exponential":
        return [ExponentialSchedule(gamma=train.gamma)]
    return [LearningRateSchedule(train.schedule, milestones=train.milestones, gamma=train.gamma)]


def build_optimizer(train: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer that ``train`` names, over all parameters of ``model``.

    :raises UserError: for a pattern of ``lr_factors`` that counts for no parameter.
    """
    parameters: Any = model.parameters()
    if factors := rate_factors(train.lr_factors):
        parameters = rate_groups(model, factors, train.lr)
    settings: dict[str, Any] = {"lr": train.lr, "weight_decay": train.weight_decay}
    if train.fused:
        settings["fused"] = True
    if train.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=train.momentum, **settings)
    kind = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, **settings)


def _check_parts(config: ExperimentConfig, strategy: Any, info: Any) -> None:
    reason = getattr(strategy, "needs_whole_experiences", "")
    if reason and getattr(info, "parts", None) is not None:
        raise UserError(
            f"{config.strategy.name} {reason}, and {info.name} brings each experience in parts, a "
            "few samples at a time: use a stream of whole experiences"
        )


def _check_scenario(kind: str, name: str, info: Any) -> None:
    entry = registry(kind)[name]
    if info.scenario not in entry.scenarios:
        raise UserError(
            f"{name} does not work on {info.name} in its {info.scenario}-incremental form; "
            f"it supports: {', '.join(entry.scenarios)}"
        )
