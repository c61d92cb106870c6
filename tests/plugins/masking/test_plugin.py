"""Boxes, artefacts, learned masks, and CIM as a plugin."""

import copy
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avalanche.benchmarks.utils.classification_dataset import (
    _make_taskaware_classification_dataset,
)
from avalanche.models import MultiTaskModule
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.plugins.masking.bilevel import MaskObjective
from cl_strategies.plugins.masking.box_statistics import MeasuredBoxes
from cl_strategies.plugins.masking.boxes import (
    CamBoxes,
    CenterBoxes,
    RandomBoxes,
    TrueBoxes,
    activation_maps,
    all_boxes,
    make_boxes,
)
from cl_strategies.plugins.masking.compression_artifacts import ArtifactImages, ArtifactSchedule
from cl_strategies.plugins.masking.experience_threshold import accuracy, choose_threshold
from cl_strategies.plugins.masking.mask_learner import MaskLearner, MaskSchedule, endless
from cl_strategies.plugins.masking.plugin import CIMPlugin


def network(classes=3):
    body = [nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


class Squares(Dataset):
    """A square of the class's color at a known place on dark noise."""

    def __init__(self, count=60, sizes=((16, 16),), seed=0):
        rng = np.random.default_rng(seed)
        self.targets = [i % 3 for i in range(count)]
        self.images, self.places = [], []
        for i, label in enumerate(self.targets):
            height, width = sizes[i % len(sizes)]
            image = rng.integers(0, 60, (height, width, 3), np.uint8)
            top, left = rng.integers(0, height - 5), rng.integers(0, width - 5)
            image[top : top + 5, left : left + 5, label] = 250
            self.images.append(image)
            self.places.append((int(top), int(left)))

    def __getitem__(self, index):
        return Image.fromarray(self.images[index]), self.targets[index]

    def __len__(self):
        return len(self.targets)


def data(leaf, groups=None, tasks=0):
    resize = tv.Compose([tv.Resize((16, 16)), tv.ToTensor()])
    groups = groups or {"train": (resize, None), "eval": (resize, None)}
    return _make_taskaware_classification_dataset(leaf, task_labels=tasks, transform_groups=groups)


def agent_for(model):
    return SimpleNamespace(
        model=model,
        device=torch.device("cpu"),
        eval_mb_size=16,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        _criterion=nn.CrossEntropyLoss(),
    )


@pytest.fixture(scope="module")
def trained():
    """A network that has learned where the squares are."""
    torch.manual_seed(0)
    model, leaf = network(), Squares(120)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(data(leaf), batch_size=20, shuffle=True)
    for _ in range(8):
        for x, y, _ in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    optimizer.zero_grad()
    return agent_for(model.eval())


def test_cam_boxes_find_the_object(trained):
    leaf = Squares(30, seed=1)
    box_of = CamBoxes(threshold=0.5)(trained, data(leaf))
    hits, areas = 0, []
    for row, (top, left) in enumerate(leaf.places):
        h0, h1, w0, w1 = box_of(row, (16, 16))
        hits += h0 <= top + 2 < h1 and w0 <= left + 2 < w1
        areas.append((h1 - h0) * (w1 - w0) / 256)
    assert hits >= 27
    assert np.mean(areas) < 0.6


def test_boxes_are_in_pixels_of_each_original_image(trained):
    leaf = Squares(12, sizes=((32, 48), (20, 17)), seed=2)
    boxes = all_boxes(data(leaf), CamBoxes(threshold=0.5)(trained, data(leaf)))
    small = np.array([image.shape[:2] for image in leaf.images])
    assert (boxes[:, 1].numpy() <= small[:, 0]).all() and (boxes[:, 3].numpy() <= small[:, 1]).all()
    assert boxes[::2, 3].max() > 24 and boxes[1::2, 3].max() <= 17


def test_maps_use_the_group_cam_and_refuse_crops(trained):
    whole = tv.Compose([tv.Resize((16, 16)), tv.ToTensor()])
    cropped = tv.Compose([tv.Resize(20), tv.CenterCrop(16), tv.ToTensor()])
    leaf = Squares(6)
    groups = {"train": (cropped, None), "eval": (cropped, None)}
    with pytest.raises(UserError, match="CenterCrop"):
        activation_maps(trained, data(leaf, groups))
    with_cam = data(leaf, {**groups, "cam": (whole, None)})
    assert torch.equal(activation_maps(trained, with_cam), activation_maps(trained, data(leaf)))


def test_maps_of_a_network_with_a_head_per_task_are_those_of_each_samples_own_head(trained):
    class TwoHeads(MultiTaskModule):
        def __init__(self):
            super().__init__()
            self.max_class_label = 3
            *body, head = copy.deepcopy(trained.model)
            self.body, other = nn.Sequential(*body), copy.deepcopy(head)
            other.weight.data.neg_()
            self.heads = nn.ModuleList([head, other])

        def forward_single_task(self, x, task_label):
            return self.heads[task_label](self.body(x))

    leaf, tasks = Squares(30, seed=4), [row % 3 % 2 for row in range(30)]
    torch.manual_seed(0)
    both = TwoHeads().eval()
    found = activation_maps(agent_for(both), data(leaf, tasks=tasks))
    for task, head in enumerate(both.heads):
        alone = nn.Sequential(both.body, head)
        expected = activation_maps(agent_for(alone), data(leaf))
        rows = torch.tensor(tasks) == task
        assert torch.equal(found[rows], expected[rows]) and found[rows].any()


def test_static_boxes_have_the_area_asked_for_and_lie_in_the_image():
    torch.manual_seed(3)
    dataset = data(Squares(40))
    center, random = (
        all_boxes(dataset, rule(area=0.25)(None, dataset)) for rule in (CenterBoxes, RandomBoxes)
    )
    for boxes in (center, random):
        sides = torch.stack([boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]])
        assert (sides == 8).all()
    assert (center == torch.tensor([4, 12, 4, 12])).all()
    assert random.min() >= 0 and random.max() <= 16 and len(random.unique(dim=0)) > 20
    assert make_boxes("empty")(None, dataset)(0, (9, 9)) == (0, 0, 0, 0)
    for bad in (
        lambda: make_boxes("left"),
        lambda: CenterBoxes(area=0),
        lambda: CamBoxes(threshold=1.0),
    ):
        with pytest.raises(UserError):
            bad()


def test_known_boxes_are_those_of_the_data_set_and_of_its_subsets():
    leaf = Squares(12)
    known = [(top, top + 5, left, left + 5) for top, left in leaf.places]
    dataset = data(leaf).update_data_attribute("true_boxes", known)
    assert all_boxes(dataset, TrueBoxes()(None, dataset)).tolist() == [list(b) for b in known]
    part = dataset.eval().subset([7, 2])
    assert TrueBoxes()(None, part)(1, (16, 16)) == known[2]
    with pytest.raises(UserError, match="does not know which part of an image"):
        TrueBoxes()(None, data(leaf))


def test_boxes_are_compared_with_known_ones(trained):
    leaf = Squares(6)
    known = [(0, 8, 0, 8)] * 3 + [(4, 12, 8, 16)] * 3
    dataset = data(leaf).update_data_attribute("true_boxes", known)
    measured = MeasuredBoxes(rule=CenterBoxes(area=0.25), threshold=0.6)
    box_of = measured(trained, dataset)
    for row in [*range(6), 0, 0]:  # one that is encoded again counts once
        assert box_of(row, (16, 16)) == (4, 12, 4, 12)
    assert measured.overlaps["true_overlap"] == pytest.approx((16 / 112 + 32 / 96) / 2)
    assert 0 < measured.overlaps["cam_overlap"] < 1
    all_boxes(data(leaf), measured(trained, data(leaf)))
    assert measured.overlaps.keys() == {"cam_overlap"}


def test_the_schedule_is_the_papers():
    schedule = ArtifactSchedule()
    refreshes = [e for e in range(170) if schedule.refreshes(e, 170)]
    assert refreshes == [40, 80, 120, 160]
    assert [schedule.share(e) for e in refreshes] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert not schedule.refreshes(40, 41) and not schedule.ever(40) and schedule.ever(42)
    assert not ArtifactSchedule(artifact_increment=0).ever(1000)
    for bad in ({"artifact_interval": 0}, {"artifact_increment": 1.5}):
        with pytest.raises(UserError):
            ArtifactSchedule(**bad)


def test_a_share_of_the_images_is_shown_as_stored():
    leaf = Squares(200)
    dataset = data(leaf)
    shown = ArtifactImages(dataset, TwoResolution())
    boxes = all_boxes(dataset, CenterBoxes()(None, dataset))
    stored = [
        TwoResolution().decode(TwoResolution().encode(x, (4, 12, 4, 12))) for x in leaf.images
    ]

    def changed():
        found = 0
        for i in range(200):
            image = np.asarray(shown[i][0])
            found += np.array_equal(image, stored[i])
            assert np.array_equal(image, stored[i]) or np.array_equal(image, leaf.images[i])
        return found

    assert changed() == 0
    shown.update(boxes, 0.3)
    assert 30 < changed() < 90
    shown.update(boxes, 1.0)
    assert changed() == 200
    assert list(shown.dataset().targets) == leaf.targets
    assert shown.dataset()[0][0].shape == (3, 16, 16)


def test_running_workers_see_the_share_change():
    dataset = data(Squares(8))
    shown = ArtifactImages(dataset, TwoResolution(eta=64))
    loader = DataLoader(shown.dataset(), batch_size=8, num_workers=1, persistent_workers=True)
    before = next(iter(loader))[0]
    shown.update(torch.zeros(8, 4, dtype=torch.int64), 1.0)
    after = next(iter(loader))[0]
    assert before.std() > 0.1 and not torch.equal(before, after)


def test_mask_steps_move_phi_alone(trained):
    dataset = data(Squares(40, seed=5))
    learner = MaskLearner(
        objective=MaskObjective(), schedule=MaskSchedule(optimizer="sgd", mask_lr=0.05, clip=0.01)
    )
    phi = learner.begin(trained, dataset)
    assert phi.sites == 2
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    start = [p.detach().clone() for p in phi.parameters()]
    batches = endless(dataset, 8, trained.device), endless(dataset, 8, trained.device)
    learner.steps(trained, *batches, count=1, progress=0.0)
    moved = torch.cat([(p - s).flatten() for p, s in zip(phi.parameters(), start, strict=True)])
    decay = 5e-4 * torch.cat([s.flatten() for s in start])
    assert float((moved / -0.05 - decay).norm()) == pytest.approx(0.01, rel=1e-3)
    assert all(torch.equal(v, before[name]) for name, v in trained.model.state_dict().items())
    assert all(p.grad is None for p in trained.model.parameters())
    frozen = [p.detach().clone() for p in phi.parameters()]
    learner.steps(trained, *batches, count=2, progress=1.0)  # the rate has fallen to zero
    assert all(torch.equal(p, f) for p, f in zip(phi.parameters(), frozen, strict=True))


def test_mask_steps_lower_what_they_are_for(trained):
    dataset = data(Squares(40, seed=5))
    sizes = {}
    for penalty in (0.0, 20.0):
        torch.manual_seed(0)
        learner = MaskLearner(objective=MaskObjective(penalty=penalty), schedule=MaskSchedule())
        phi = learner.begin(trained, dataset)
        batches = endless(dataset, 16, trained.device), endless(dataset, 16, trained.device)
        learner.steps(trained, *batches, count=25, progress=0.0)
        sizes[penalty] = float(activation_maps(trained, dataset, phi).square().mean())
        assert all(p.isfinite().all() for p in phi.parameters())
    assert sizes[20.0] < 0.9 * sizes[0.0]


def test_the_inner_step_has_a_rate_of_its_own():
    dataset = data(Squares(40, seed=5))

    def learned(inner_lr=0.1, optimizer_lr=0.1):
        torch.manual_seed(0)
        agent = agent_for(network())  # one that has something to learn
        agent.optimizer = torch.optim.Adam(agent.model.parameters(), lr=optimizer_lr)
        schedule = MaskSchedule(inner_lr=inner_lr, optimizer="sgd")
        learner = MaskLearner(
            objective=MaskObjective(penalty=0.0, diversity=0.0), schedule=schedule
        )
        phi = learner.begin(agent, dataset)
        batches = endless(dataset, 16, agent.device), endless(dataset, 16, agent.device)
        learner.steps(agent, *batches, count=1, progress=0.0)
        return torch.cat([p.detach().flatten() for p in phi.parameters()])

    assert MaskSchedule().inner_lr == 0.1  # the paper's beta_1
    assert torch.equal(learned(), learned(optimizer_lr=0.003))
    assert not torch.equal(learned(), learned(inner_lr=0.01))


def test_an_inner_step_that_is_no_descent_is_warned_of_once_an_experience(trained):
    dataset = data(Squares(40, seed=5))

    def told(**options):
        objective = MaskObjective(second_order=options.pop("second_order", True))
        learner = MaskLearner(objective=objective, schedule=MaskSchedule(**options))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(2):
                learner.begin(trained, dataset)
                batches = endless(dataset, 8, trained.device), endless(dataset, 8, trained.device)
                for _ in range(2):
                    learner.steps(trained, *batches, count=2, progress=0.0)
                learner.end()
        return [str(each.message) for each in caught]

    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    found = told(inner_lr=1000.0)
    assert len(found) == 2 and all("inner_lr = 1000" in text for text in found)
    assert not told(inner_lr=1e-5)
    assert not told(inner_lr=1000.0, second_order=False)  # takes no such step
    assert all(torch.equal(v, before[name]) for name, v in trained.model.state_dict().items())


def test_phi_goes_on_or_starts_over(trained):
    dataset = data(Squares(20))
    for start, same in (("first", True), ("previous", False)):
        learner = MaskLearner(objective=MaskObjective(), schedule=MaskSchedule(start=start))
        for experience in range(3):
            phi = learner.begin(trained, dataset)
            begun = phi.numerator.detach().clone()
            if experience == 0:
                origin = begun.clone()
            batches = endless(dataset, 8, trained.device), endless(dataset, 8, trained.device)
            learner.steps(trained, *batches, count=1, progress=0.0)
            if experience == 0:
                ended = phi.numerator.detach().clone()
            learner.end()
        assert torch.equal(begun, ended) is same
        assert not torch.equal(begun, origin)


def test_masks_cannot_be_learned_outside_an_experience(trained):
    learner = MaskLearner(objective=MaskObjective(), schedule=MaskSchedule())
    for call in (learner.end, lambda: learner.joint_update(0.0)):
        with pytest.raises(UserError, match="begin"):
            call()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: MaskSchedule(mask_lr=0),
        lambda: MaskSchedule(outer="old"),
        lambda: MaskSchedule(clip=-1),
        lambda: MaskObjective(penalty=-1),
        lambda: MaskObjective(nearest="cubic"),
        lambda: MaskObjective(filter="cubic"),
        lambda: MaskSchedule(inner_lr=0),
        lambda: CIMPlugin(masks="attention"),
        lambda: CIMPlugin(codec=TwoResolution(eta=4), threshold=2.0),
    ],
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(UserError):
        bad()


def test_the_threshold_is_the_one_whose_bytes_classify_most(trained):
    dataset, codec = data(Squares(24, seed=7)), TwoResolution()
    thresholds, scores = (0.2, 0.5, 0.8), []
    for threshold in thresholds:
        boxes = all_boxes(dataset, CamBoxes(threshold=threshold)(trained, dataset))
        shown = ArtifactImages(dataset, codec)
        shown.update(boxes, 1.0)
        pairs = zip(shown.images._data, boxes.tolist(), strict=True)
        size = sum(len(codec.encode(np.asarray(item[0]), box)) for item, box in pairs)
        scores.append(accuracy(trained, shown.dataset()) / size)
    found = choose_threshold(trained, dataset, codec, thresholds=thresholds)
    assert found == thresholds[int(np.argmax(scores))]
