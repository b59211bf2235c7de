"""Whether the hardware multiplies in bfloat16."""

import torch

# A CPU that has all features of one row multiplies in bfloat16. The rows are the conditions of oneDNN, which computes
# the matrix products on a CPU: AVX-512 with its byte, vector length and doubleword extensions; AVX2 with VNNI 2; Arm.
_BF16_CPUS = (
    ("avx512_f", "avx512_bw", "avx512_vl", "avx512_dq"),
    ("avx_vnni_int8", "avx_ne_convert"),
    ("bf16",),
)


def has_bf16(device: str) -> bool:
    """Whether the hardware multiplies in bfloat16. A CPU without such instructions needs a hundred times as long.

    Args:
        device: "cuda" or "cpu".
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    with_bf16 = any(all(features.get(name, False) for name in names) for names in _BF16_CPUS)
    return torch.backends.mkldnn.is_available() and with_bf16
