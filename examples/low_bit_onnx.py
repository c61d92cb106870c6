"""LifeQuant at 4 bits over two tasks, and the network as an ONNX file in integers.

Needs onnx and a runtime: `pip install 'cl-strategies[onnx]' onnxruntime`.
"""

import onnxruntime
import torch

from cl_strategies.benchmarks import split_digits
from cl_strategies.models import cnn
from cl_strategies.plugins import export_onnx, integer_operators
from cl_strategies.strategies import LifeQuant


def stacked(stream):
    """Return all images and labels of a stream, as an evaluation sees them."""
    samples = [sample for experience in stream for sample in experience.dataset.eval()]
    return torch.stack([s[0] for s in samples]), torch.tensor([s[1] for s in samples])


def main():
    torch.manual_seed(0)
    benchmark = split_digits(n_experiences=2, fraction=0.5)
    model = cnn(input_shape=(1, 8, 8), n_classes=10, scenario="class", channels=[8, 16], hidden=32)
    strategy = LifeQuant(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        train_mb_size=32,
        train_epochs=6,
        weight_bits=4,
        activation_bits=4,
        replay_ratio=0.2,
        ball_form="prior",
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)

    images, labels = stacked(benchmark.test_stream)
    network = strategy.model.eval()
    with torch.no_grad():
        predicted = network(images).argmax(1)
    print(f"PyTorch: accuracy {(predicted == labels).float().mean():.3f} on all ten digits")

    some, _ = stacked(benchmark.train_stream)
    path = export_onnx(network, "lifequant.onnx", input_shape=(1, 8, 8), calibrate=some[:200])
    print(f"{path}: {path.stat().st_size:,} bytes")
    (logits,) = onnxruntime.InferenceSession(path).run(["logits"], {"input": images.numpy()})
    same = torch.tensor(logits).argmax(1) == predicted
    print(f"onnxruntime: {same.float().mean():.1%} of the predictions are the same")
    print("in integers:", integer_operators(path))


if __name__ == "__main__":
    main()
