"""Searches over CTC outputs alone, and the times of their words."""
