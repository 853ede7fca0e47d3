"""A checker that needs no expectation: which anomalies a history of random transactions shows, and by what proof."""
