"""Packages that need not be there."""

from importlib.util import find_spec
from pathlib import Path

from mimic.errors import UserError


def installed(module: str) -> Path:
    """The folder of a package, which is not imported. UserError where it is missing."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # the package that it is in
        spec = None
    if not spec or not spec.origin:
        fix = "steps/setup.sh --benchmarks true && . benchmarks/.venv/bin/activate"
        raise UserError(f"the Python package {module} is not installed: {fix}")
    return Path(spec.origin).parent
