"""Random workloads on real servers: generated transactions, free sessions, a history that is checked without an expectation."""
