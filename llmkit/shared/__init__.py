"""What the policies of many processes know in common, in a Redis; the policies themselves are those of ``llmkit.resilience``."""
