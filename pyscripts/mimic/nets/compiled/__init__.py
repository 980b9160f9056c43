"""Training steps in C++, where the time of small matrices is that of calls and copies: compiled where a compiler is."""
