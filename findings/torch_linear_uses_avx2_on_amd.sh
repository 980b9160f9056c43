#!/usr/bin/env bash
# A product of float32 matrices on a processor of AMD with AVX-512, as a linear layer and as the same convolution.
# Guess: PyTorch multiplies matrices with all that the processor has, and a convolution is at best as fast as that.
# Seen: linear layers go to MKL, which keeps to AVX2 there; convolutions go to oneDNN and take half the time.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! grep -q AuthenticAMD /proc/cpuinfo || ! grep -q avx512f /proc/cpuinfo; then
  echo "not a processor of AMD with AVX-512: there is nothing to see"
  exit 0
fi
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q torch==2.11.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$dir/venv/bin/python" - << 'PYTHON'
import time

import torch
from torch.nn import functional as F

torch.set_num_threads(1)
x, weight = torch.randn(4, 512, 4800), torch.randn(512, 512, 3)
windows = x.unfold(2, 3, 2).permute(0, 2, 1, 3).reshape(-1, 3 * 512)  # (batch * frames, channels * width)
flat = weight.reshape(512, -1)


def seconds(call):
    times = []
    for _ in range(7):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return min(times)


with torch.no_grad():
    torch.testing.assert_close(F.linear(windows, flat), F.conv1d(x, weight, stride=2).mT.reshape(-1, 512), rtol=0, atol=1e-3)
    linear, conv = seconds(lambda: F.linear(windows, flat)), seconds(lambda: F.conv1d(x, weight, stride=2))
print(f"torch {torch.__version__}: linear {1e3 * linear:.0f} ms, convolution {1e3 * conv:.0f} ms, ratio {linear / conv:.2f}")
assert linear > 1.25 * conv
PYTHON
