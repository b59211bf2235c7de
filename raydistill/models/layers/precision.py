"""Which precision the hardware has."""

import torch


def has_bf16(device: str) -> bool:
    """Whether the hardware multiplies in bfloat16; a CPU that does not is a hundred times slower at it."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()
