"""Sessions on other machines: what a thread is here, an agent is there. The coordinator does not know the difference."""
