"""Folds the corrections into step size and denominator and works in place on copies, as the frameworks do."""

import copy
import math

import numpy as np


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    (b1, b2), params, state = betas, copy.deepcopy(params), copy.deepcopy(state)
    if not state:
        state = {"t": 0, "m": {k: np.zeros_like(p) for k, p in params.items()},
                 "v": {k: np.zeros_like(p) for k, p in params.items()}}
    state["t"] += 1
    step_size = lr / (1 - b1 ** state["t"])
    root = math.sqrt(1 - b2 ** state["t"])
    for k in params:
        p, g, m, v = (np.asarray(d[k]) for d in (params, grads, state["m"], state["v"]))
        m = m.copy()
        m *= b1
        m += (1 - b1) * g
        v = v * b2 + (1 - b2) * np.square(g)
        denominator = np.sqrt(v) / root + eps
        p = p * (1 - lr * weight_decay)
        p -= step_size * m / denominator
        params[k], state["m"][k], state["v"][k] = p, m, v
    return params, state
