"""torch's attention with quantized projections."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_strategies.errors import UserError
from cl_strategies.plugins.quantization.layers.quantized_layer import QuantizedLayer
from cl_strategies.plugins.quantization.layers.weight_uses import owning


class QuantMultiheadAttention(QuantizedLayer, nn.MultiheadAttention):
    """Attention whose projections of queries, keys and values have quantized weights and inputs.

    ``out_proj`` is a quantized layer of its own. The products of queries and keys, and of attention
    and values, are at full precision. Torch's fused path in evaluation, which knows no quantizers,
    is never taken.
    """

    weight_parameter = "in_proj_weight"

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weight of the three projections, ``(3 E, E)``."""
        return self.in_proj_weight

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        """Their bias, ``(3 E,)``."""
        return self.in_proj_bias

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend, with arguments and results of ``torch.nn.MultiheadAttention``.

        :raises UserError: for ``is_causal`` without ``attn_mask``, or if the projections of other
            tensors than one would have to be normalized for the scheme.
        """
        if is_causal and attn_mask is None:
            raise UserError("is_causal is only a hint at what attn_mask holds: give attn_mask, too")
        projected = owning(self.weight, lambda q: self._project(q, key, value), query)
        q, k, v = (self._heads(part) for part in projected)
        mask = _merged(attn_mask, key_padding_mask, like=q, keys=k.shape[2])
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            weights = (scores if mask is None else scores + mask).softmax(-1)
            weights = F.dropout(weights, dropout) if dropout else weights
            found = weights @ v
        else:
            found = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        result = found.transpose(1, 2).flatten(2)
        if query.dim() == 2:
            result, weights = result[0], None if weights is None else weights[0]
        elif not self.batch_first:
            result = result.transpose(0, 1)
        if weights is not None and average_attn_weights:
            weights = weights.mean(-3)
        return self.out_proj(result), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        weight, bias = self.quantized_weight(), self.bias
        if query is key and key is value:
            return list(self.after(F.linear(self.before(query), weight, bias)).chunk(3, -1))
        if self.output_quantizer is not None:
            raise UserError(
                "queries and keys of an attention are different tensors, and the scheme would "
                "normalize their projections together: leave the attention at full precision with "
                "skip, or take another quantizer"
            )
        biases = [None] * 3 if bias is None else bias.chunk(3)
        done: dict[int, Tensor] = {}
        for x in (query, key, value):  # each tensor once
            if id(x) not in done:
                done[id(x)] = self.before(x)
        given = zip((query, key, value), weight.chunk(3), biases, strict=True)
        return [F.linear(done[id(x)], w, b) for x, w, b in given]

    def _heads(self, x: Tensor) -> Tensor:
        """Return ``(N, heads, L, E / heads)``."""
        if x.dim() == 2:
            x = x[None]
        elif not self.batch_first:
            x = x.transpose(0, 1)
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def unsupported(attention: nn.MultiheadAttention) -> str:
    """Return why an attention cannot be quantized; nothing if it can."""
    if attention.in_proj_weight is None:
        return "keys or values of another size than queries"
    if attention.bias_k is not None or attention.add_zero_attn:
        return "keys of its own"
    return ""


def _merged(
    mask: Tensor | None, padding: Tensor | None, *, like: Tensor, keys: int
) -> Tensor | None:
    """Return one mask to add to the scores ``(N, heads, L, keys)``."""
    terms = []
    if mask is not None:
        wide = mask if mask.dim() == 2 else mask.unflatten(0, (len(like), -1))
        terms.append(_additive(wide, like))
    if padding is not None:
        terms.append(_additive(padding, like).view(-1, 1, 1, keys))
    return sum(terms[1:], terms[0]) if terms else None


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype is not torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf)
