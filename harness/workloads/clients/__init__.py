"""How a workload's micro-operations are done, one module for each family of engines."""
