"""The lattice search in C++: compiled where there is a compiler."""
