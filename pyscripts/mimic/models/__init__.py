"""Trained directories as things: a network, its front end, and what it does."""
