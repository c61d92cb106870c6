"""ZeroQ (Cai, Yao, Dong, Gholami, Mahoney, Keutzer, "ZeroQ: A Novel Zero Shot Quantization
Framework", CVPR 2020)."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor, nn
from typing_extensions import Doc

from cl_strategies.plugins.data_free.batch_norm import matched_images, watching
from cl_strategies.plugins.data_free.functional.statistics import sample_statistics_loss
from cl_strategies.plugins.data_free.student import set_ranges
from cl_strategies.plugins.data_free.trained import Trained
from cl_strategies.strategies.templates.data_free import DataFreeStrategy

#: Steps without a smaller loss before the learning rate falls.
PATIENCE = 100


class ZeroQ(DataFreeStrategy):
    """Fine-tuning, quantized after each experience with ranges from distilled images.

    The images have the statistics that the BatchNorm layers keep. No weight is trained; without
    iterations the images are noise, which is plain min-max quantization.

    :raises UserError: for a network without BatchNorm or one that cannot be quantized, or for an
        option out of its range.
    """

    def __init__(
        self,
        *,
        iterations: Annotated[
            int, Ge(0), Doc("Steps on the images; 0: plain min-max, with ranges from noise.")
        ] = 100,
        image_lr: Annotated[float, Gt(0), Doc("Learning rate of the images, by Adam.")] = 0.5,
        **template: Any,
    ) -> None:
        self.iterations = iterations
        self.image_lr = image_lr
        super().__init__(**template)

    def fit(self, student: nn.Module, trained: Trained) -> None:
        task = trained.draw(1).task
        with watching(trained.network) as inputs:

            def loss(images: Tensor) -> Tensor:
                trained.logits(images, task)
                return sample_statistics_loss(*inputs.take(of_samples=True), inputs=images)

            images = matched_images(
                trained.noise(self.images),
                loss,
                iterations=self.iterations,
                lr=self.image_lr,
                patience=PATIENCE,
            )
        set_ranges(student, trained, images, task)
