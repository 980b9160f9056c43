"""How large an enhancer is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Trained parameters, and multiply-accumulates for a second of signal; None: not known."""

    parameters: int | None = None
    macs: float | None = None

    def __add__(self, other: "Size") -> "Size":
        return Size((self.parameters or 0) + (other.parameters or 0), (self.macs or 0) + (other.macs or 0))
