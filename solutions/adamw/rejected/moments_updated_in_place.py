# expect: wrong-answer test_arguments_stay_as_they_were
# Updates the averages inside the caller's old state.
import numpy as np


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    b1, b2 = betas
    t = state.get("t", 0) + 1
    new_params, m, v = {}, {}, {}
    for name, p in params.items():
        g = grads[name]
        old_m, old_v = (state["m"][name], state["v"][name]) if state else (np.zeros_like(p), np.zeros_like(p))
        old_m[...] = b1 * old_m + (1 - b1) * g
        old_v[...] = b2 * old_v + (1 - b2) * g**2
        m[name], v[name] = old_m, old_v

        m_hat = m[name] / (1 - b1**t)
        v_hat = v[name] / (1 - b2**t)
        decayed = p * (1 - lr * weight_decay)
        new_params[name] = decayed - lr * m_hat / (np.sqrt(v_hat) + eps)
    return new_params, {"t": t, "m": m, "v": v}
