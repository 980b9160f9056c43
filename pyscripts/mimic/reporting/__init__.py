"""Tables, plots, the HTML report, RESULTS.md, the plan of costs."""
