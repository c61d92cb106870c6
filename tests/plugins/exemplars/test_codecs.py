"""Codecs: what they keep, what they cost, and what they refuse."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from cl_strategies.errors import UserError
from cl_strategies.plugins.exemplars.codecs.base import HEADER, MAX_PIXELS, ImageCodec
from cl_strategies.plugins.exemplars.codecs.catalog import ENTRIES, make_codec
from cl_strategies.plugins.exemplars.codecs.image_files import CODERS
from cl_strategies.plugins.exemplars.codecs.pixels import from_pixels, to_pixels
from cl_strategies.plugins.exemplars.codecs.two_resolution import TwoResolution
from cl_strategies.plugins.masking.functional import downsample_background, memory_cost
from cl_strategies.registry import Entry, registry

NAMES = [entry.name for entry in ENTRIES]
LOSSLESS = ["raw", "png", "png:level=0", "webp:lossless=true"]
COMBINED = [
    f"{name}:inner={inner}" for name in ("downsample", "two-resolution") for inner in CODERS
]
EVERY = [
    *LOSSLESS,
    *COMBINED,
    "jpeg:quality=30",
    "webp:quality=30",
    "downsample:filter=box,eta=3",
    "quantized:bits=1",
    "quantized:bits=7,inner=png",
    "two-resolution:foreground_eta=2,filter=box,eta=6.5",
]


SIDES = st.integers(1, 40)


@st.composite
def images(draw):
    """Noise or flat color, grey or RGB, with a box that may be empty or everything."""
    height, width, channels = draw(SIDES), draw(SIDES), draw(st.sampled_from([1, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    image = rng.integers(0, draw(st.sampled_from([1, 4, 256])), (height, width, channels), np.uint8)
    rows = sorted([draw(st.integers(0, height)), draw(st.integers(0, height))])
    columns = sorted([draw(st.integers(0, width)), draw(st.integers(0, width))])
    return image, (*rows, *columns)


@pytest.fixture(scope="module")
def photo():
    picture = Image.fromarray(load_sample_image("china.jpg")).resize((224, 224))
    return np.asarray(picture)


@pytest.mark.parametrize("name", LOSSLESS)
@settings(max_examples=25)
@given(case=images())
def test_lossless_codecs_return_every_pixel(name, case):
    image, box = case
    codec = make_codec(name)
    assert np.array_equal(codec.decode(codec.encode(image, box)), image)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=15)
@given(case=images())
def test_every_codec_returns_the_shape_and_knows_its_cost(name, case):
    image, box = case
    codec = make_codec(name)
    payload = codec.encode(image, box)
    assert codec.cost(image, box) == len(payload)
    codec.check(payload)
    decoded = codec.decode(payload)
    assert decoded.shape == image.shape and decoded.dtype == np.uint8
    assert np.array_equal(
        make_codec(name.partition(":")[0] + _inner(name)).decode(payload), decoded
    )


def _inner(name):
    """The part of the options that a reader has to share with the writer."""
    parts = [p for p in name.partition(":")[2].split(",") if p.startswith("inner=")]
    return ":" + parts[0] if parts else ""


@pytest.mark.parametrize("inner", ["raw", "png", "webp-lossless"])
@settings(max_examples=40)
@given(case=images(), eta=st.sampled_from([1.0, 2.0, 4.0, 9.0]))
def test_two_resolutions_are_equation_3_bit_for_bit(inner, case, eta):
    image, box = case
    codec = TwoResolution(eta=eta, inner=inner)
    payload = codec.encode(image, box)
    expected = downsample_background(torch.from_numpy(image), box, eta=eta).numpy()
    assert np.array_equal(codec.decode(payload), expected)
    empty = box[0] == box[1] or box[2] == box[3]
    assert codec.box(payload) == ((0, 0, 0, 0) if empty else box)


def test_two_resolutions_cost_what_equation_4_says():
    rng = np.random.default_rng(0)
    codec, gaps = TwoResolution(), []
    for _ in range(400):
        height, width = rng.integers(150, 500, 2).tolist()
        rows, columns = (sorted(rng.integers(0, n + 1, 2).tolist()) for n in (height, width))
        image = np.zeros((height, width, 3), np.uint8)
        box = (*rows, *columns)
        gaps.append(codec.cost(image, box) / image.size / memory_cost(box, (height, width)) - 1)
    assert abs(np.mean(gaps)) < 0.002
    assert max(np.abs(gaps)) < 0.02


def test_quantised_pixels_are_within_half_a_level():
    image = np.arange(0, 240, dtype=np.uint8).reshape(12, 20, 1)
    for bits in range(1, 8):
        codec = make_codec("quantized", bits=bits)
        decoded = codec.decode(codec.encode(image)).astype(int)
        assert np.abs(decoded - image).max() <= 239 / (2**bits - 1) / 2 + 1
        assert len(np.unique(decoded)) <= 2**bits
        assert (decoded.min(), decoded.max()) == (0, 239)


def test_a_jpeg_without_its_tables_is_the_same_image(photo):
    small = photo[:64, :64]
    for image in (small, small[:, :, :1]):
        payload = make_codec("jpeg", quality=50).encode(image)
        file = make_jpeg_file(image, 50)
        decoded = np.asarray(Image.open(file)).reshape(image.shape)
        assert np.array_equal(make_codec("jpeg").decode(payload), decoded)
        assert len(payload) < len(file.getvalue()) - (500 if image.shape[2] == 3 else 250)


def make_jpeg_file(image, quality):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    return file


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("jpeg:quality=90", "jpeg:quality=20"),
        ("webp:quality=90", "webp:quality=20"),
        ("downsample:eta=2", "downsample:eta=9"),
        ("quantized:bits=6", "quantized:bits=2"),
        ("two-resolution", "two-resolution:foreground_eta=4"),
        ("downsample:filter=box", "downsample"),
    ],
)
def test_more_bytes_or_a_better_filter_mean_less_error(photo, better, worse):
    def error(name):
        codec = make_codec(name)
        decoded = codec.decode(codec.encode(photo, (50, 150, 60, 170)))
        return np.abs(decoded.astype(int) - photo).mean()

    assert error(better) < error(worse)


def test_files_inside_two_resolutions_pay_off(photo):
    box = (56, 168, 56, 168)
    size = {inner: len(TwoResolution(inner=inner).encode(photo, box)) for inner in CODERS}
    assert size["jpeg"] < size["webp-lossless"] < size["png"] < size["raw"]


@pytest.mark.parametrize("name", [*EVERY])
def test_damage_is_one_clear_error(photo, name):
    codec = make_codec(name)
    payload = codec.encode(photo[:40, :50], (3, 20, 4, 40))
    for broken in (b"", payload[:5], payload[: len(payload) // 2], b"\xff" + payload[1:]):
        with pytest.raises(UserError, match="damaged"):
            codec.decode(broken)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=20)
@given(data=st.data())
def test_any_bytes_behind_a_header_are_an_image_or_one_clear_error(name, data):
    codec = make_codec(name)
    height, width = data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))
    header = HEADER.pack(1, codec.number, height, width, data.draw(st.sampled_from([0, 1, 3])))
    try:
        decoded = codec.decode(header + data.draw(st.binary(max_size=200)))
    except UserError:
        return
    assert decoded.shape[:2] == (height, width)


@pytest.mark.parametrize("name", NAMES)
def test_a_declared_size_is_checked_before_anything_is_allocated(name):
    codec = make_codec(name)
    side = int(MAX_PIXELS**0.5) + 1
    with pytest.raises(UserError, match="allowed"):
        codec.decode(HEADER.pack(1, codec.number, side, side, 3) + bytes(30))


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_a_file_larger_than_declared_is_not_decoded(photo, name):
    codec = make_codec(name)
    payload = codec.encode(photo)
    small = HEADER.pack(1, codec.number, 8, 8, 3) + payload[HEADER.size :]
    with pytest.raises(UserError, match="224x224"):
        codec.decode(small)


def test_an_exemplar_of_another_codec_is_refused_by_name():
    payload = make_codec("png").encode(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="made by the codec png, but the codec here is jpeg"):
        make_codec("jpeg").decode(payload)


@pytest.mark.parametrize(
    "bad",
    [
        "jepg",
        "jpeg:quality=0",
        "jpeg:quality=best",
        "jpeg:color=1",
        "jpeg:quality",
        "png:level=10",
        "webp:lossless=maybe",
        "downsample:eta=0.5",
        "downsample:filter=cubic",
        "downsample:inner=gif",
        "quantized:bits=8",
        "quantized:inner=jpeg",
        "two-resolution:foreground_eta=0",
    ],
)
def test_unknown_names_and_options_are_refused(bad):
    with pytest.raises(UserError):
        make_codec(bad)


def test_a_codec_is_taken_as_it_is_and_may_be_anyones():
    class Zeros(ImageCodec):
        """Keeps nothing."""

        name = "zeros"
        number = 200

        def pack(self, pixels, box):
            return b""

        def unpack(self, body, shape):
            return np.zeros(shape, np.uint8)

    codec = make_codec(Zeros())
    assert not codec.decode(codec.encode(np.ones((3, 3, 1), np.uint8))).any()
    with pytest.raises(UserError, match="number 200"):
        make_codec("raw").decode(codec.encode(np.ones((3, 3, 1), np.uint8)))
    with pytest.raises(UserError, match="too late"):
        make_codec(codec, eta=4)


def test_the_older_name_of_quantized_is_understood_and_not_listed():
    image = np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    payloads = {make_codec(f"{name}:bits=3").encode(image) for name in ("quantised", "quantized")}
    assert len(payloads) == 1
    assert registry("codecs")["quantised"].name == "quantized" and "quantised" in registry("codecs")
    assert "quantised" not in [entry.name for entry in registry("codecs")]
    with pytest.raises(UserError, match="registered twice"):
        registry("codecs").add(Entry(name="quantised", factory="package:Codec", summary="Mine."))


def test_two_resolutions_without_a_box_are_refused():
    with pytest.raises(UserError, match="box"):
        TwoResolution().encode(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match="does not lie"):
        TwoResolution().encode(np.zeros((4, 4, 3), np.uint8), (0, 5, 0, 2))


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8)]
)
def test_what_is_not_pixels_is_refused(bad):
    with pytest.raises(UserError):
        make_codec("raw").encode(bad)


@pytest.mark.parametrize(
    "sample",
    [
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)),
        Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)),
        torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4),
        torch.arange(48).reshape(3, 4, 4) / 255,
        torch.arange(16).reshape(1, 4, 4) / 255,
    ],
)
def test_samples_survive_the_way_to_pixels_and_back(sample):
    pixels, kind = to_pixels(sample)
    assert pixels.dtype == np.uint8 and pixels.shape[:2] == (4, 4)
    again = from_pixels(pixels, kind)
    assert type(again) is type(sample) or kind == "pillow"
    same = (
        torch.equal(again, sample)
        if torch.is_tensor(sample)
        else again.tobytes() == sample.tobytes()
    )
    assert same


@pytest.mark.parametrize(
    "sample",
    [
        torch.randn(3, 4, 4) * 3,
        torch.full((3, 4, 4), torch.nan),
        torch.rand(10),
        torch.rand(2, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.int64),
        np.zeros((4, 4, 3)),
        Image.new("RGBA", (4, 4)),
        "a word",
        7,
    ],
)
def test_samples_that_are_not_images_are_refused(sample):
    with pytest.raises(UserError, match="cannot store"):
        to_pixels(sample)
