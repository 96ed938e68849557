"""Assertions for suites: what they let pass, and what they cost the judge."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from grader import check


@pytest.mark.parametrize("actual, passes", [
    (np.float32([0.1, 0.7]), True), (np.float32([0.1, 0.7]) + np.float32(1e-6), True),
    (np.float64([0.1, 0.7]) + 1e-6, False), (np.float32([0.1, 0.7]) + np.float32(1e-4), False),
    (np.float16([0.1, 0.7]), False), (np.float16([0.5, 0.75]), False), (np.float16([0.102, 0.698]), False),
], ids=range(7))
def test_a_coarse_result_buys_no_looser_tolerance_than_float32(actual: Any, passes: bool) -> None:
    expected = np.array([0.1, 0.7])
    if passes:
        check.close(actual, expected, same_dtype=False)
        return
    with pytest.raises(check.CheckFailure, match="is wrong"):
        check.close(actual, expected, same_dtype=False)


def test_half_precision_that_is_exact_is_right() -> None:
    check.close(np.float16([0.5, 0.75]), np.array([0.5, 0.75]), same_dtype=False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_that_is_asked_for_has_its_own_tolerance(dtype: torch.dtype) -> None:
    expected = torch.tensor([0.1, 0.7], dtype=dtype)
    near = expected * (1 + torch.finfo(dtype).eps)
    check.close(near, expected)
    check.close(near.float(), expected, same_dtype=False)
    with pytest.raises(check.CheckFailure, match="is wrong"):
        check.close(near, expected.double(), same_dtype=False)


@pytest.mark.parametrize("actual", [1 << 65000, {1 << 65000: 0}, {(1 << 65000,): 0}, [1 << 65000]], ids=range(4))
def test_integers_that_python_does_not_write_are_described(actual: Any) -> None:
    with pytest.raises(check.CheckFailure):
        check.equal(actual, "x")
    with pytest.raises(check.CheckFailure):
        check.is_array(actual)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_bad_result_of_many_axes_costs_little_memory(kind: Any) -> None:
    """The index of every bad element would take 32 * 8 bytes each, 128 MB here."""
    bad = np.full((500_000, *(1,) * 31), np.nan, np.float32)
    bad[:3] = 0
    tracemalloc.start()
    with pytest.raises(check.CheckFailure, match="nan") as finite:
        check.finite(kind(bad))
    with pytest.raises(check.CheckFailure, match="is wrong") as close:
        check.close(kind(bad), kind(np.zeros_like(bad)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert finite.value.index == close.value.index == (3, *(0,) * 31)
    assert peak < 60 << 20
