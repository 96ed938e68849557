def adamw_step(params, grads, state, lr, betas, eps, weight_decay) -> tuple[dict, dict]:
    """One AdamW step for every parameter. Changes no argument.

    params, grads: {name: float array}, the same names and shapes in both
    state: {} before the first step, then what the last step returned: {"t": int, "m": {...}, "v": {...}}
    betas: (beta1, beta2)
    Returns (new_params, new_state), every array in its parameter's shape and dtype.
    """
    raise NotImplementedError
