"""What the orchestrator costs: see `__main__`."""
