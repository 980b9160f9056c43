"""Search over HCLG graphs, and lattices."""
