"""The isolation matrix: which anomaly each isolation level of each server prevented, and how, from the evidence of a run."""
