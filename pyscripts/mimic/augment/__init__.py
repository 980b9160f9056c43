"""Mixing at an SNR, room impulse responses, waveform effects, SpecAugment."""
