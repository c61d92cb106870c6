"""What all quantisers share as modules: bit-width, state in buffers, codes for packing."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.bits import FULL_PRECISION, check_bits
from cl_strategies.plugins.quantization.bounds import bound_


class Quantizer(nn.Module):
    """Quantises a tensor and passes a gradient on.

    The buffer ``format`` says in words what quantiser a state belongs to: another bit-width or
    another kind refuses to load it. A checkpoint without any state of this quantiser is a
    full-precision one: it loads, and what is learned from data starts anew.

    :param bits: 1 to 8, or 32 to pass tensors through.
    :param settings: what else changes the function, for ``format``.
    :raises UserError: for other bits.
    """

    kind: ClassVar[str]
    decay: ClassVar[float] = 0.0
    """Weight decay of the learned parameters that the paper uses."""
    takes_momentum: ClassVar[bool] = True
    """Whether an optimizer may carry them on: not where their gradient is zero at the best value,
    which momentum would leave again."""
    lazy: ClassVar[bool] = False
    """Whether there is state that the first tensor initialises."""

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
        """Whether the state has been initialised; read from the device once."""
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
        """``x`` quantised; half-precision types are computed in float32."""
        if self.bits == FULL_PRECISION or x.numel() == 0:
            return x
        if x.dtype in (torch.float16, torch.bfloat16):
            return self.quantize(x.float()).to(x.dtype)
        return self.quantize(x)

    def quantize(self, x: Tensor) -> Tensor:
        """``x`` quantised; not empty, and not at full precision."""
        raise NotImplementedError

    def keep_alive(self, size: nn.Parameter, x: Tensor, *, last: float, first: float = 1.0) -> None:
        """Bring a learned size back in training, if an optimizer took it too far for ``x``.

        Once after each step of the optimizer: a batch alone does not move what is learned. See
        :func:`~cl_strategies.plugins.quantization.bounds.bound_`.
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
        """:raises UserError: if ``state`` holds another quantiser under ``prefix``."""
        saved = state.get(f"{prefix}format")
        if saved is not None and _read(saved) != _read(self.format):
            raise UserError(
                f"the checkpoint holds {prefix.rstrip('.')} as {_read(saved)!r}, and this model "
                f"has {_read(self.format)!r}: load it into a model quantised in the same way, or "
                "load a full-precision checkpoint and train at this bit-width"
            )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self.check_format(state_dict, prefix)
        if any(key.startswith(prefix) for key in state_dict):
            super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
            self.forget_cached()
        else:
            self._mark(ready=False)


def _read(text: Tensor) -> str:
    return bytes(text.tolist()).decode()


@dataclass(frozen=True)
class Encoded:
    """A quantised weight as integers.

    :param codes: uint8, ``0 ... 2**bits - 1``, shape of the weight.
    :param constants: what decoding needs besides, by name.
    """

    codes: Tensor
    constants: Mapping[str, Tensor]


class WeightQuantizer(Quantizer):
    """Quantises the weights of a layer, whose first dimension are the output channels."""

    def forward(self, x: Tensor) -> Tensor:
        self.prepare(x)
        return super().forward(x)

    def prepare(self, w: Tensor) -> None:
        """Initialise what starts from the weights, if it is not."""
        if self.bits != FULL_PRECISION and w.numel() and not self.is_ready:
            with torch.no_grad():
                self.initialise(w.detach())
            self._mark(ready=True)

    def initialise(self, w: Tensor) -> None:
        """Set the state from the weights."""

    def encode(self, w: Tensor) -> Encoded:
        """The integer codes of ``w``; :meth:`decode` gives what :meth:`forward` gives, exactly.

        :raises UserError: at full precision, or if there are more than ``2**bits`` levels.
        """
        if self.bits == FULL_PRECISION:
            raise UserError("full-precision weights have no codes: leave them out of packing")
        self.prepare(w)
        with torch.no_grad():
            codes, constants = self.codes(w.detach())
        return Encoded(codes.to(torch.uint8), constants)

    def codes(self, w: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Codes as floats, and constants."""
        raise NotImplementedError

    def decode(self, encoded: Encoded) -> Tensor:
        """The quantised weights."""
        raise NotImplementedError


class ActivationQuantizer(Quantizer):
    """Quantises activations; in evaluation nothing depends on the batch.

    State is initialised by the first batch in training. Until then an evaluation sees the
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
                self.initialise(x.detach())
            self._mark(ready=True)
        return self.apply_to(x)

    def initialise(self, x: Tensor) -> None:
        """Set the state from the first batch."""

    def apply_to(self, x: Tensor) -> Tensor:
        """``x`` quantised with the state as it is."""
        raise NotImplementedError


class SignedActivation(ActivationQuantizer):
    """An activation quantiser with one form for inputs of both signs and one for others.

    :param signed: ``None``: as the first training batch is.
    """

    lazy = True
    signed: Tensor

    def __init__(self, bits: int, *, signed: bool | None = None, **settings: Any) -> None:
        shown = "auto" if signed is None else signed
        super().__init__(bits, signed=shown, **settings)
        self.given = signed
        self.register_buffer("signed", torch.tensor(bool(signed)))
        self._signed: bool | None = None

    @property
    def is_signed(self) -> bool:
        """The form in use; read from the device once."""
        if self._signed is None:
            self._signed = bool(self.signed)
        return self._signed

    def forget_cached(self) -> None:
        super().forget_cached()
        self._signed = None

    def initialise(self, x: Tensor) -> None:
        if self.given is None:
            self.signed.copy_(x.amin() < 0)
