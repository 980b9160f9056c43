"""mimic: noise-robust speech recognition and speech enhancement, the library behind pyscripts/*.py."""
