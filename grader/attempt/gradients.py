"""Gradients across the boundary: a call beyond it is one node of the judge's autograd graph. Imported only with Torch.

Where the function ran, a Tape keeps the leaves that stand for the caller's tensors and the outputs that depend on them;
where it was called, `attach` makes outputs whose backward asks the tape for the vector-Jacobian product. Parameters
that the caller has fetched are inputs of that node too, so `torch.autograd.grad(out, parameters)` works. First
derivatives only: a second backward through the boundary raises, as it does for any once-differentiable function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NO, LEAF, INNER = 0, 1, 2
"""what a tensor is in its graph: not in one, a leaf, or computed"""


def role(value: Tensor) -> int:
    """NO, LEAF or INNER."""
    return NO if not value.requires_grad else LEAF if value.is_leaf else INNER


@dataclass
class Tape:
    """One call, on the side where it ran."""

    leaves: dict[int, Tensor] = field(default_factory=dict)
    outputs: list[Tensor] = field(default_factory=list)

    def receive(self, value: Tensor, index: int, kind: int) -> Tensor:
        """The tensor that stands for the caller's tensor number `index`. The same number is the same tensor."""
        if index not in self.leaves:
            self.leaves[index] = value.requires_grad_()
        leaf = self.leaves[index]
        return leaf if kind == LEAF else leaf.clone()  # a computed tensor may be changed in place, a leaf may not

    def vjp(self, grads: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> tuple[list[Any], list[Any]]:
        """Gradients of sum(outputs * grads): for the caller's tensors in order, and for `parameters`.

        Every other leaf of this side accumulates into its own .grad, as it would without a boundary.
        """
        leaves = [self.leaves[i] for i in sorted(self.leaves)]
        held = [p.grad for p in parameters]
        for tensor in (*leaves, *parameters):
            tensor.grad = None
        # backward from the scalars <out, grad> is the same, and spares the 0.4 s that Torch takes to import sympy
        # when it is handed gradients for the first time
        with torch.enable_grad():
            scalars = [(out * grad.conj()).sum().real if out.is_complex() else (out * grad).sum()
                       for out, grad in zip(self.outputs, grads, strict=True) if grad is not None]
            torch.autograd.backward(scalars, retain_graph=True)
        fresh = [p.grad for p in parameters]
        for parameter, old, new in zip(parameters, held, fresh):
            parameter.grad = old if new is None else new.clone() if old is None else old + new
        return [leaf.grad for leaf in leaves], fresh


Vjp = Callable[[list[Tensor | None]], tuple[list[Tensor | None], list[Tensor | None]]]


class _Remote(torch.autograd.Function):
    """The node: its outputs have arrived already, its backward asks beyond the boundary."""

    @staticmethod
    def forward(ctx: Any, vjp: Vjp, outputs: list[Tensor], anchor: Tensor, *inputs: Tensor) -> Any:
        ctx.vjp = vjp
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        inputs, parameters = ctx.vjp(list(grads))
        return (None, None, None, *inputs, *parameters)


def attach(outputs: list[Tensor], inputs: list[Tensor], parameters: list[Tensor], vjp: Vjp) -> list[Tensor]:
    """`outputs` as functions of `inputs` and `parameters`, by way of `vjp`."""
    anchor = torch.zeros((), requires_grad=True)  # outputs require grad even where nothing of the caller's does
    return list(_Remote.apply(vjp, outputs, anchor, *inputs, *parameters))  # type: ignore[no-untyped-call]
