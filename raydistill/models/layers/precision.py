"""How the hardware multiplies: whether in bfloat16, and on a GPU always in the same way."""

import os

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


def compute_exactly(device: str) -> None:
    """From now on, a GPU gives the same bits each time in this process, and float32 is not rounded to TF32.

    By default, CUDA kernels add in an order that changes from run to run, and cuDNN multiplies float32 with a mantissa
    of 10 bits. A training that continues from a checkpoint would then end with other weights than one that was never
    stopped. An operation that has no deterministic kernel raises a RuntimeError. On a CPU this changes nothing.

    Args:
        device: "cuda", "cuda:1", ..., or "cpu". For the GPU, nothing must have been multiplied before the first call.
    """
    if not device.startswith("cuda"):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it multiplies for the first time
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # only costs time
    torch.backends.cudnn.allow_tf32 = False
