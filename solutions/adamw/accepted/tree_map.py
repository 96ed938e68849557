"""Small functions mapped over dicts, as in a functional framework: moments, then corrections, then the update."""

import numpy as np


def tree_map(function, *trees):
    return {name: function(*(tree[name] for tree in trees)) for name in trees[0]}


def ema(beta):
    return lambda average, value: beta * average + (1 - beta) * value


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    zeros = tree_map(np.zeros_like, params)
    t = 1 + state.get("t", 0)
    m = tree_map(ema(betas[0]), state.get("m", zeros), grads)
    v = tree_map(ema(betas[1]), state.get("v", zeros), tree_map(np.square, grads))
    m_hat, v_hat = (tree_map(lambda a: a / (1 - beta**t), tree) for beta, tree in zip(betas, (m, v)))
    step = tree_map(lambda a, b: a / (np.sqrt(b) + eps), m_hat, v_hat)
    new_params = tree_map(lambda p, s: p - lr * s - lr * weight_decay * p, params, step)
    return new_params, dict(t=t, m=m, v=v)
