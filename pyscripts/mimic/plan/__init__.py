"""What a run of the recipe will cost: measured on a sample (calibration.py), computed for more speech (estimate.py)."""
