"""What the recipe ``cim-lucir`` compares differs: LUCIR, and three ways to fill a memory."""

import itertools

import pytest
import torch
from torch import nn

from cl_strategies.benchmarks import load
from cl_strategies.experiment.config.suite import Suite
from cl_strategies.models.backbones.small_resnet import small_resnet
from cl_strategies.registry import registry

BYTES = 20 * 87  # 20 raw digits with header and label
VARIANTS = {
    "lucir": {},
    "mnemonics": {},
    "mrdc": {"host": "lucir", "tolerance": 1e9},
    "cim": {"host": "lucir", "artefact_interval": 1},
}


@pytest.fixture(scope="module")
def trained():
    """Each with its defaults, after two experiences of digits."""
    benchmark = load("split-digits", n_experiences=3, fraction=0.2)
    strategies = {}
    for name, options in VARIANTS.items():
        torch.manual_seed(0)
        info = benchmark.info
        model = small_resnet(
            input_shape=info.input_shape,
            n_classes=info.n_classes,
            scenario="class",
            channels=[4, 8],
            stem_stride=1,
        )
        strategies[name] = registry("strategies")[name].load()(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=3,
            evaluator=None,
            mem_bytes=BYTES,
            **options,
        )
        for experience in benchmark.train_stream[:2]:
            torch.manual_seed(1)  # so that what an option draws makes no difference by itself
            strategies[name].train(experience)
    return strategies


def test_the_recipe_compares_these():
    assert {row["name"] for row in Suite.from_toml("cim-lucir").strategies} == set(VARIANTS)


@pytest.mark.parametrize("pair", itertools.combinations(VARIANTS, 2), ids="-".join)
def test_exemplars_and_weights_of_two_variants_differ(trained, pair):
    first, second = (trained[name] for name in pair)
    payloads = [{record.payload for record in s.memory.memory.records} for s in (first, second)]
    weights = [nn.utils.parameters_to_vector(s.model.parameters()) for s in (first, second)]
    assert payloads[0] != payloads[1]
    assert not torch.allclose(*weights)
