"""Plain Python floats, one element after the other, cast back to the parameter's dtype."""

import math

import numpy as np


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    beta1, beta2 = betas
    t = (state["t"] if "t" in state else 0) + 1
    new_params, new_m, new_v = {}, {}, {}
    for name in params:
        p = np.asarray(params[name])
        g = np.asarray(grads[name])
        out, m, v = np.empty_like(p), np.zeros_like(p), np.zeros_like(p)
        for i in np.ndindex(p.shape):
            gi = float(g[i])
            mi = vi = 0.0
            if t > 1:
                mi, vi = float(np.asarray(state["m"][name])[i]), float(np.asarray(state["v"][name])[i])
            mi = beta1 * mi + (1 - beta1) * gi
            vi = beta2 * vi + (1 - beta2) * gi * gi
            step = (mi / (1 - beta1**t)) / (math.sqrt(vi / (1 - beta2**t)) + eps)
            out[i] = float(p[i]) - lr * weight_decay * float(p[i]) - lr * step
            m[i], v[i] = mi, vi
        new_params[name], new_m[name], new_v[name] = out, m, v
    return new_params, {"t": t, "m": new_m, "v": new_v}
