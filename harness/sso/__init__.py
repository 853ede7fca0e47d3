"""Single sign-on: an issuer of tokens over PromptSales's sessions, and what verifies tokens of any issuer."""
