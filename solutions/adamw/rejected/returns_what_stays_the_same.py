# expect: wrong-answer test_returns_new_arrays
# Where the step is zero the old array is handed out as the new one.
import numpy as np


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    """One AdamW step (Loshchilov and Hutter 2019): decoupled decay, bias-corrected moments. Changes no argument.

    params, grads: {name: array}   state: {} or {"t": int, "m": {name: array}, "v": {name: array}}
    """
    b1, b2 = betas
    t = state.get("t", 0) + 1
    new_params, m, v = {}, {}, {}
    for name, p in params.items():
        g = grads[name]
        old_m, old_v = (state["m"][name], state["v"][name]) if state else (np.zeros_like(p), np.zeros_like(p))
        m[name] = b1 * old_m + (1 - b1) * g
        v[name] = b2 * old_v + (1 - b2) * g**2

        m_hat = m[name] / (1 - b1**t)                   # zeros to start with: after t steps the weights sum to 1 - b**t
        v_hat = v[name] / (1 - b2**t)
        decayed = p * (1 - lr * weight_decay)           # never through the gradient, or 1 / sqrt(v) rescales it
        step = decayed - lr * m_hat / (np.sqrt(v_hat) + eps)
        new_params[name] = step if np.any(step != p) else p
    return new_params, {"t": t, "m": m, "v": v}
