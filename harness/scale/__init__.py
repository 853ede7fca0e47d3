"""Past one machine: what was measured, and a model of what many more clients, users and scenarios take; see docs/scale.md."""
