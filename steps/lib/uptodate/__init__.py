"""Whether a directory that a step writes is finished and up to date, and what is to be done where it is not.

outputs.py      what a finished directory holds, and whether it still does (.done)
identity.py     whether an input is the same: its contents
fingerprint.py  what a directory is made from (.fingerprint)
state.py        the states of a directory, and the one function that says what follows from each
aside.py        directories change places: what is there is kept as <dir>.old
check.py        the sub-commands: check, mark and lock
"""
