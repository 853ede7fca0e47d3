"""PromptSales on Kubernetes: what its parts and Secrets are called, the Secrets made, runs in a cluster begun and fetched."""
