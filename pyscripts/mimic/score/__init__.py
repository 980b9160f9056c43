"""Scores: word and character error rates as Kaldi prints them, measures of enhanced speech, and tables of both."""
