"""Hidden Markov models with Gaussian mixtures in Kaldi's formats: lang directory, trees, training, adaptation."""
