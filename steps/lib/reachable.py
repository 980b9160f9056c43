#!/usr/bin/env python3
"""Does this address answer? Exit code 1 and a line where it does not. For steps/setup.sh, before there is a .venv.

reachable.py https://download.pytorch.org/whl/cpu/torch/
"""

import sys
import urllib.request

SECONDS = 20

try:
    with urllib.request.urlopen(sys.argv[1], timeout=SECONDS) as answer:
        answer.read(1)
except (OSError, ValueError) as error:
    sys.exit(f"{sys.argv[1]} cannot be reached: {error}")
