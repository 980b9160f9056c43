"""mimic: noise-robust speech recognition and speech enhancement, the library that pyscripts/*.py call."""
