"""PromptSales on Kubernetes: names of its parts, Secrets made, runs in a cluster begun and fetched."""
