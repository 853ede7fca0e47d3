"""Samples of the servers, and of this machine, while scenarios or load run."""
