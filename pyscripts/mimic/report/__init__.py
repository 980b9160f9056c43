"""The HTML report of an experiment tree: what was trained, how it scored, how it sounds."""
