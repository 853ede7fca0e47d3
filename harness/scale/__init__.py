"""Past one machine: what was measured, and a model of what many more clients, users and cases take; see docs/scale.md."""
