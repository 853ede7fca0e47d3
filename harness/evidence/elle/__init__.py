"""Histories in the shape of Elle, Jepsen's checker: read from EDN and JSON, written, made of a scenario's History."""
