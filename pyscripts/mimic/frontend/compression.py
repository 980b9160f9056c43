"""Spectra with compressed magnitudes, |X|^c: a network sees quiet bins beside loud ones."""

from torch import Tensor

EXPONENT = 0.3
TINY_POWER = 1e-8  # of a bin, 1e-4 of magnitude: keeps the gradient of a power below one finite


def power(spectrum: Tensor) -> Tensor:
    """|X|^2 of a complex spectrum, real, of the same shape, with a floor that keeps gradients finite."""
    return spectrum.real.square() + spectrum.imag.square() + TINY_POWER


def compress(spectrum: Tensor, exponent: float = EXPONENT) -> Tensor:
    """Complex -> complex with the magnitude to the power of `exponent` and the same phase."""
    return spectrum * power(spectrum).pow((exponent - 1) / 2)


def expand(spectrum: Tensor, exponent: float = EXPONENT) -> Tensor:
    """The inverse of `compress` but for magnitudes near its floor."""
    return spectrum * power(spectrum).pow((1 / exponent - 1) / 2)
