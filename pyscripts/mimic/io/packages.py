"""Packages that need not be there: recognisers, models that predict scores."""

from importlib.util import find_spec
from pathlib import Path

from mimic.errors import UserError

JUDGES = "steps/setup.sh --judges true"


def installed(module: str, fix: str = JUDGES) -> Path:
    """The folder of a package, which is not imported. UserError where it is missing, with `fix`, what installs it."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # the package that it is in
        spec = None
    if not spec or not spec.origin:
        raise UserError(f"the Python package {module} is not installed: {fix}")
    return Path(spec.origin).parent
