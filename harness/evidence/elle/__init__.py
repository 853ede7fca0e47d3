"""Histories in the shape of Elle, Jepsen's checker: read from files of EDN and JSON, written to them, made of a scenario's History."""
