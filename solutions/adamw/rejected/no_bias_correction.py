# expect: wrong-answer test_first_moment_is_corrected_for_its_start_at_zero
# Uses the moments as stored, so the first steps have the wrong length.
import numpy as np


def adamw_step(params, grads, state, lr, betas, eps, weight_decay):
    b1, b2 = betas
    t = state.get("t", 0) + 1
    new_params, m, v = {}, {}, {}
    for name, p in params.items():
        g = grads[name]
        old_m, old_v = (state["m"][name], state["v"][name]) if state else (np.zeros_like(p), np.zeros_like(p))
        m[name] = b1 * old_m + (1 - b1) * g
        v[name] = b2 * old_v + (1 - b2) * g**2

        m_hat = m[name]
        v_hat = v[name]
        decayed = p * (1 - lr * weight_decay)
        new_params[name] = decayed - lr * m_hat / (np.sqrt(v_hat) + eps)
    return new_params, {"t": t, "m": m, "v": v}
