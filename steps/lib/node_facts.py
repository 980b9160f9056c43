#!/usr/bin/env python3
"""Where a job runs, for steps/check_cluster.sh: one "name value" line each. node_facts.py [gpu]"""

import os
import socket
import sys

print("host", socket.gethostname())
print("venv", sys.prefix)
if len(sys.argv) > 1:
    print("devices", os.environ.get("CUDA_VISIBLE_DEVICES", "not set"))
    try:
        import torch

        print("gpus", torch.cuda.device_count())
    except ImportError:
        print("gpus", 0)
