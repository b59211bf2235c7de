# raydistill in a container, for Kubernetes (examples/kubernetes) or for one machine:
#
#   docker build --target cpu --tag raydistill:cpu .
#   docker build --target cuda --tag raydistill:cuda .        # with flash-attn, which takes an hour to compile
#   docker run --rm --shm-size 4g --volume "$PWD/runs:/work/runs" raydistill:cpu sweep /app/sweeps/demo.yaml
#
# All packages are those of the lock file, except the CUDA libraries that come with PyTorch and are not in it.

FROM python:3.11-slim-bookworm AS base
# torch.compile needs the compiler; KubeRay probes Ray with wget.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git wget \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 ray && mkdir /app /work && chown ray /work
WORKDIR /app
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY raydistill raydistill
COPY sweeps sweeps
ENV PIP_NO_CACHE_DIR=1 RAY_USAGE_STATS_ENABLED=0

FROM base AS cpu
RUN pip install --editable '.[remote]' --constraint constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu
USER 1000
WORKDIR /work
ENTRYPOINT ["raydistill"]

# flash-attn is compiled against the very PyTorch of the lock file.
FROM nvidia/cuda:13.0.2-devel-ubuntu22.04 AS flash
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3.11-dev python3.11-venv \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml constraints.txt /build/
WORKDIR /build
RUN python3.11 -m venv env \
    && env/bin/pip install --no-cache-dir torch ninja packaging psutil setuptools wheel --constraint constraints.txt \
    && MAX_JOBS=8 env/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels 'flash-attn>=2.8,<3'

FROM base AS cuda
COPY --from=flash /build/wheels /tmp/wheels
RUN pip install --editable '.[remote,flash]' --constraint constraints.txt --find-links /tmp/wheels
USER 1000
WORKDIR /work
# Kubernetes replaces this by the commands of KubeRay.
ENTRYPOINT ["raydistill"]
