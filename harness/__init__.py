"""PromptSales Harness: shows, on real databases, which isolation they really give."""

__version__ = "0.1.0"
