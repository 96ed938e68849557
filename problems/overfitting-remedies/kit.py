"""For dropout's argument `generator`: the suite makes its generators with this. An answer has no need to import it."""

import torch


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
