"""Base classes of all quantizers: bit-width, state in buffers, codes for packing."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.functional.parameter_bounds import bound_
from cl_strategies.plugins.quantization.functional.rounding import FULL_PRECISION, check_bits


class Quantizer(nn.Module):
    """Quantize a tensor and pass a gradient on.

    The buffer ``format`` says in words what quantizer a state belongs to: another bit-width or
    another kind refuses to load it. A checkpoint without any state of this quantizer is a
    full-precision one: it loads, and what is learned from data starts anew.

    :param bits: bit-width from 1 to 8, or 32 to pass tensors through.
    :param settings: further options that change the function, for ``format``.
    :raises UserError: for other bits.
    """

    kind: ClassVar[str]
    decay: ClassVar[float] = 0.0
    """Weight decay that the paper uses for the learned parameters."""
    takes_momentum: ClassVar[bool] = True
    """Whether an optimizer may use momentum for them: not where their gradient is zero at the best
    value, which momentum would leave again."""
    lazy: ClassVar[bool] = False
    """Whether there is state that the first tensor initializes."""

    format: Tensor
    ready: Tensor

    def __init__(self, bits: int, **settings: Any) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        text = ", ".join([f"{self.kind} {bits} bits", *(f"{k}={v}" for k, v in settings.items())])
        self.register_buffer("format", torch.tensor(list(text.encode()), dtype=torch.uint8))
        if self.lazy:
            self.register_buffer("ready", torch.tensor(False))
        self._is_ready: bool | None = None
        self._kept: int | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the state has been initialized; read from the device once."""
        if self._is_ready is None:
            self._is_ready = not self.lazy or bool(self.ready)
        return self._is_ready

    def _mark(self, ready: bool) -> None:
        if self.lazy:
            self.ready.fill_(ready)
        self.forget_cached()

    def forget_cached(self) -> None:
        """Read state from the device again, as it has changed."""
        self._is_ready = None

    def forward(self, x: Tensor) -> Tensor:
        """Quantize ``x``; half-precision types are computed in float32."""
        if self.bits == FULL_PRECISION or x.numel() == 0:
            return x
        if x.dtype in (torch.float16, torch.bfloat16):
            return self.quantize(x.float()).to(x.dtype)
        return self.quantize(x)

    def quantize(self, x: Tensor) -> Tensor:
        """Quantize ``x``, which is not empty, at fewer than 32 bits."""
        raise NotImplementedError

    def keep_alive(self, size: nn.Parameter, x: Tensor, *, last: float, first: float = 1.0) -> None:
        """Bring a learned size back in training, if an optimizer took it too far for ``x``.

        Once after each step of the optimizer: a batch alone does not move what is learned. See
        :func:`~cl_strategies.plugins.quantization.functional.parameter_bounds.bound_`.
        """
        if not (self.training and size.requires_grad and torch.is_grad_enabled()):
            return
        # Not tracked, as a layer may run several times before its backward pass.
        if torch.compiler.is_compiling():  # a version would be a constant of the compiled code
            bound_(size.data, x, first=first, last=last)
        elif self._kept != size._version:
            bound_(size.data, x, first=first, last=last)
            self._kept = size._version

    def extra_repr(self) -> str:
        return _read(self.format)

    def check_format(self, state: Mapping[str, Any], prefix: str) -> None:
        """:raises UserError: if ``state`` holds another quantizer under ``prefix``."""
        saved = state.get(f"{prefix}format")
        if saved is not None and _present(_read(saved)) != _present(_read(self.format)):
            raise UserError(
                f"the checkpoint holds {prefix.rstrip('.')} as {_read(saved)!r}, and this model "
                f"has {_read(self.format)!r}: load it into a model quantized in the same way, or "
                "load a full-precision checkpoint and train at this bit-width"
            )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self.check_format(state_dict, prefix)
        if any(key.startswith(prefix) for key in state_dict):
            if f"{prefix}format" in state_dict:  # which earlier versions worded differently
                state_dict = {**state_dict, f"{prefix}format": self.format}
            super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
            self.forget_cached()
        else:
            self._mark(ready=False)


def _read(text: Tensor) -> str:
    return bytes(text.tolist()).decode()


def _present(text: str) -> str:
    """Word a format as this version does: spelling, and numbers as floats."""
    return re.sub(r"=(\d+)(?=,|$)", r"=\1.0", text.replace("normalize=", "normalize="))


@dataclass(frozen=True)
class Encoded:
    """A quantized weight as integers.

    :param codes: uint8, ``0 ... 2**bits - 1``, shape of the weight.
    :param constants: tensors that decoding needs besides, by name.
    """

    codes: Tensor
    constants: Mapping[str, Tensor]


class WeightQuantizer(Quantizer):
    """Quantize the weights of a layer, whose first dimension are the output channels."""

    def forward(self, x: Tensor) -> Tensor:
        self.prepare(x)
        return super().forward(x)

    def prepare(self, w: Tensor) -> None:
        """Initialize the state that starts from the weights, unless that is done."""
        if self.bits != FULL_PRECISION and w.numel() and not self.is_ready:
            with torch.no_grad():
                self.initialize(w.detach())
            self._mark(ready=True)

    def initialize(self, w: Tensor) -> None:
        """Set the state from the weights."""

    def encode(self, w: Tensor) -> Encoded:
        """Return the integer codes of ``w``, of which :meth:`decode` makes the quantized weights.

        :raises UserError: at full precision, or if there are more than ``2**bits`` levels.
        """
        if self.bits == FULL_PRECISION:
            raise UserError("full-precision weights have no codes: leave them out of packing")
        self.prepare(w)
        with torch.no_grad():
            codes, constants = self.codes(w.detach())
        return Encoded(codes.to(torch.uint8), constants)

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the codes as floats, and the constants of :class:`Encoded`."""
        raise NotImplementedError

    def decode(self, encoded: Encoded) -> Tensor:
        """Return the quantized weights."""
        raise NotImplementedError


class ActivationQuantizer(Quantizer):
    """Quantize activations; in evaluation nothing depends on the batch.

    State is initialized by the first batch in training. Until then an evaluation sees the
    activations at full precision, with a warning.
    """

    def quantize(self, x: Tensor) -> Tensor:
        if not self.is_ready:
            if not self.training:
                warnings.warn(
                    f"{type(self).__name__} has seen no training batch yet: its activations stay "
                    "at full precision; train first, or run a batch in training mode",
                    stacklevel=2,
                )
                return x
            with torch.no_grad():
                self.initialize(x.detach())
            self._mark(ready=True)
        return self.apply_to(x)

    def initialize(self, x: Tensor) -> None:
        """Set the state from the first batch."""

    def apply_to(self, x: Tensor) -> Tensor:
        """Quantize ``x`` with the state as it is."""
        raise NotImplementedError


class SignedActivation(ActivationQuantizer):
    """An activation quantizer with one form for inputs of both signs and one for others.

    :param signed: see :data:`~cl_strategies.plugins.quantization.quantizers.scheme.Signed`.
    """

    lazy = True
    signed: Tensor

    def __init__(self, bits: int, *, signed: bool | None, **settings: Any) -> None:
        shown = "auto" if signed is None else signed
        super().__init__(bits, signed=shown, **settings)
        self.given = signed
        self.register_buffer("signed", torch.tensor(bool(signed)))
        self._signed: bool | None = None

    @property
    def is_signed(self) -> bool:
        """Whether the signed form is in use; read from the device once."""
        if self._signed is None:
            self._signed = bool(self.signed)
        return self._signed

    def expect(self, signed: bool) -> None:
        """Take what the code of the network says of the inputs, unless the user has said it."""
        if self.given is None:
            self.given = signed
            self.signed.fill_(signed)

    def forget_cached(self) -> None:
        super().forget_cached()
        self._signed = None

    def initialize(self, x: Tensor) -> None:
        if self.given is None:
            self.signed.copy_(x.amin() < 0)
