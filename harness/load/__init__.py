"""Load: many users at PromptSales's work, driven by Locust; every refusal counted by its kind."""
