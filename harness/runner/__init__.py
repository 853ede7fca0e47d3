"""Drives the sessions of a case in their order and records what happened, as a History."""
