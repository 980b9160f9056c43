"""Data directories as wholes: validate, fix, import, subset, combine; lexicons, lang directories, g2p."""
