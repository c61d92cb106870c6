"""Networks that gain classes: what growth changes and what it leaves alone."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cl_strategies.errors import UserError
from cl_strategies.models.backbones.mlp import mlp
from cl_strategies.models.backbones.small_resnet import small_resnet
from cl_strategies.models.heads import ABSENT
from cl_strategies.plugins.features.stages import stage_names
from cl_strategies.plugins.incremental.classifiers import (
    Classifier,
    CosineClassifier,
    ProxyClassifier,
)
from cl_strategies.plugins.incremental.dual_branch import cut, cut_points
from cl_strategies.plugins.incremental.methods.expandable import ExpandableNetwork
from cl_strategies.plugins.incremental.methods.foster import BoostedNetwork
from cl_strategies.plugins.incremental.methods.podnet import cluster_centers
from cl_strategies.plugins.incremental.network import IncrementalNetwork, split_head
from cl_strategies.plugins.masking.cam_extractor import CamExtractor


def seen(*classes):
    return SimpleNamespace(classes_in_this_experience=list(classes))


def resnet():
    model = small_resnet(input_shape=(3, 32, 32), n_classes=4, scenario="class", channels=(4, 6))
    return split_head(model)


@pytest.mark.parametrize("kind", [Classifier, CosineClassifier, ProxyClassifier])
def test_growth_leaves_the_scores_of_old_classes_alone(kind):
    classifier, features = kind(5), torch.randn(7, 5)
    classifier.grow(2)
    before = classifier(features)
    classifier.grow(3)
    after = classifier(features)
    assert classifier.n_classes == 5 and after.shape == (7, 5)
    assert torch.allclose(after[:, :2], before)
    assert classifier.old.requires_grad == (kind is Classifier)
    assert classifier.new.requires_grad


def test_wider_features_leave_the_scores_of_the_first_ones_alone():
    classifier, features = Classifier(5), torch.randn(7, 5)
    classifier.grow(2)
    classifier.grow(1)
    before = classifier(features)
    classifier.widen(3)
    padded = torch.cat([features, torch.zeros(7, 3)], dim=1)
    assert torch.allclose(classifier(padded), before)
    assert (classifier.weight[:, 5:] != 0).all()


def test_cosines_do_not_depend_on_lengths():
    classifier = CosineClassifier(5)
    classifier.grow(3)
    features = torch.randn(7, 5)
    assert torch.allclose(classifier.cosines(features), classifier.cosines(9 * features))
    with torch.no_grad():
        classifier.scale.fill_(4.0)
    assert torch.allclose(classifier(features), 4 * classifier.cosines(features))


def test_logits_stand_by_class_id_and_inside_in_the_order_of_arrival():
    network = IncrementalNetwork(nn.Flatten(), Classifier(4))
    network.grow([5, 3])
    network.grow([0])
    x = torch.randn(6, 1, 2, 2)
    arrived, logits = network.outputs(x).logits, network(x)
    assert logits.shape == (6, 6)
    assert torch.equal(logits[:, [5, 3, 0]], arrived)
    assert (logits[:, [1, 2, 4]] == ABSENT).all()
    assert network.index_of(torch.tensor([0, 3, 5])).tolist() == [2, 1, 0]


def test_unknown_classes_are_ruled_out_while_evaluating_and_no_parameter_appears():
    network = IncrementalNetwork(nn.Flatten(), Classifier(4))
    network.grow([0, 1])
    count = sum(p.numel() for p in network.parameters())
    x = torch.randn(3, 1, 2, 2)
    network.eval()
    network.adaptation(seen(2, 3))
    assert network(x).shape == (3, 4) and (network(x)[:, 2:] == ABSENT).all()
    network.train()
    network.adaptation(seen(2, 3))
    assert network(x).shape == (3, 2)
    assert sum(p.numel() for p in network.parameters()) == count


def test_what_a_loss_needs_is_seen_through_the_ordinary_call():
    network = IncrementalNetwork(nn.Flatten(), Classifier(4))
    network.grow([1, 0])
    x = torch.randn(3, 1, 2, 2)
    with network.watching() as outputs:
        network(x)
        network(2 * x)
    network(x)
    assert len(outputs) == 2
    assert torch.equal(outputs[1].features, 2 * outputs[0].features)


def test_bad_growth_and_early_calls_are_refused():
    network = IncrementalNetwork(nn.Flatten(), Classifier(4))
    with pytest.raises(UserError, match="knows no class yet"):
        network(torch.randn(3, 1, 2, 2))
    network.grow([1])
    for classes in ([], [1, 2]):
        with pytest.raises(UserError, match="give new ones"):
            network.grow(classes)


@pytest.mark.parametrize("head", ["auto", "growing"])
def test_the_head_of_a_registered_model_is_taken_off(head):
    model = mlp(input_shape=(1, 4, 4), n_classes=3, scenario="class", hidden=(7,), head=head)
    backbone, width = split_head(model)
    assert width == 7 and backbone(torch.zeros(2, 1, 4, 4)).shape == (2, 7)


def test_the_last_linear_layer_of_any_network_is_taken_off():
    body = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3))
    backbone, width = split_head(body)
    assert width == 5 and backbone(torch.zeros(2, 4, 4)).shape == (2, 5)
    with pytest.raises(UserError, match="no linear classifier"):
        split_head(nn.Sequential(nn.Flatten()))


def test_a_new_backbone_leaves_the_old_ones_alone_in_training_too():
    network = ExpandableNetwork(*resnet())
    network.grow([0, 1])
    x = torch.rand(8, 3, 32, 32)
    network.expand()
    network.grow([2])
    network.train()
    before = {k: v.clone() for k, v in network.backbone[0].state_dict().items()}
    trained = [p for p in network.parameters() if p.requires_grad]
    torch.optim.SGD(trained, lr=0.1).zero_grad()
    network(x).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in network.backbone[0].state_dict().items())
    assert all(p.grad is None for p in network.backbone[0].parameters())
    assert all(p.grad is not None for p in network.backbone[1].parameters())
    assert network.outputs(x).features.shape == (8, 12)


def test_maps_of_several_backbones_are_those_of_each_side_by_side():
    network = ExpandableNetwork(*resnet())
    network.grow([7, 2])
    network.expand()
    network.grow([4])
    x = torch.rand(5, 3, 32, 32)
    for _ in range(20):
        network.train()(x)  # statistics of BatchNorm
    extractor = CamExtractor(network, x)
    assert len(extractor.sources) == 2
    network.eval()
    with extractor.features() as caught:
        network(x)
        network(x[:2])
    assert [tuple(maps.shape[:2]) for maps in caught] == [(5, 12), (2, 12)]
    assert torch.allclose(caught[0].mean((2, 3)), network.outputs(x).features, atol=1e-5)
    row = network.classifier.weight[1]  # class 2 came second
    expected = torch.einsum("k,nkhw->nhw", row, caught[1])
    low, high = expected.amin((1, 2), keepdim=True), expected.amax((1, 2), keepdim=True)
    maps = extractor.maps(caught[1], torch.tensor([2, 2]))
    assert (high > low).all()
    assert torch.allclose(maps, (expected - low) / (high - low), atol=1e-4)


def test_a_classifier_of_proxies_has_no_activation_maps():
    backbone, width = resnet()
    network = IncrementalNetwork(backbone, ProxyClassifier(width))
    network.grow([0, 1])
    with pytest.raises(UserError, match="no class activation maps"):
        CamExtractor(network, torch.rand(2, 3, 32, 32))


def test_boosting_starts_from_what_the_old_network_knew():
    network = BoostedNetwork(*resnet(), "teacher")
    network.grow([0, 1])
    x = torch.rand(6, 3, 32, 32)
    network.eval()
    known = network.outputs(x).logits
    network.boost([2, 3])
    network.eval()
    with network.watching() as watched:
        network(x)
    assert torch.allclose(watched[0].before, known, atol=1e-5)
    assert watched[0].auxiliary.shape == watched[0].logits.shape == (6, 4)
    # The new backbone is a copy, so that old logits change by the new columns alone.
    block = network.classifier.old[:, : network.n_features]
    assert torch.equal(block, network.before.old if len(network.before.old) else network.before.new)
    student = network.fresh_student(2).eval()
    assert torch.allclose(student.outputs(x).logits[:, :2], known, atol=1e-5)
    network.settle(student)
    network.boost([4])
    assert len(network.backbone) == 2 and network.classifier.weight.shape == (5, 12)


def test_stages_end_where_the_resolution_changes():
    backbone, _ = resnet()
    assert stage_names(backbone, torch.rand(2, 3, 32, 32)) == ["stage1", "stage2"]
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    assert stage_names(flat, torch.rand(2, 1, 2, 2)) == []


def test_two_branches_begin_as_the_one_that_they_come_from():
    backbone, _ = resnet()
    x = torch.rand(4, 3, 32, 32)
    lengths = cut_points(backbone, x)
    assert lengths == [4, 3]
    backbone.eval()
    before = backbone(x)
    both = cut(backbone, lengths)
    both.branch()
    assert torch.allclose(both.eval()(x), before, atol=1e-5)
    trained = {name for name, p in both.named_parameters() if p.requires_grad}
    stable = [name for name in trained if name.startswith("stable") and "conv" in name]
    assert stable and all("scale" in name or name.endswith("bias") for name in stable)
    assert "mixture" not in trained
    with pytest.raises(UserError, match="cannot be cut into levels"):
        cut_points(nn.Flatten(), x)


def test_cluster_centers_find_clusters():
    points = torch.cat([torch.randn(30, 2) * 0.01 + 5 * torch.tensor([i, -i]) for i in range(3)])
    torch.manual_seed(3)
    centres = max(
        (cluster_centers(points, 3) for _ in range(5)),
        key=lambda c: -torch.cdist(points, c).amin(1).sum(),
    )
    found = sorted(centres[:, 0].round().int().tolist())
    assert found == [0, 5, 10]
    assert cluster_centers(points[:2], 5).shape == (5, 2)
