"""Whether enhancers help recognisers: recognisers of several kinds, what they found, comparisons, verdicts, pages."""
