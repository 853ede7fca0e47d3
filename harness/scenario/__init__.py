"""What is declared: scenarios in YAML, checked, and unfolded into the cases that are run."""
