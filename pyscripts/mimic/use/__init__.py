"""Trained models at work on whole files: what a user has when the training is over."""
