"""Random workloads on real servers: transactions drawn from a seed, free sessions, a history that needs no expectation."""
