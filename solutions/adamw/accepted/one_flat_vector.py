"""All parameters as one long vector, as fused optimisers keep them; cut up again at the end."""

import numpy as np


def flatten(arrays, names):
    return np.concatenate([np.ravel(arrays[name]) for name in names])


def unflatten(vector, like):
    ends = np.cumsum([np.size(array) for array in like.values()])[:-1]
    pieces = np.split(vector, ends)
    return {name: piece.reshape(np.shape(array)).copy() for (name, array), piece in zip(like.items(), pieces)}


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    names = list(params)
    p, g = flatten(params, names), flatten(grads, names)
    if state:
        t, m, v = state["t"], flatten(state["m"], names), flatten(state["v"], names)
    else:
        t, m, v = 0, 0 * p, 0 * p
    t += 1
    m += (1 - betas[0]) * (g - m)
    v += (1 - betas[1]) * (g * g - v)
    update = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    p = p - lr * (update + weight_decay * p)
    return unflatten(p, params), {"t": t, "m": unflatten(m, params), "v": unflatten(v, params)}
