"""How much llmkit costs: ratios in one run, on one machine, of the client's own CPU time. Run by ``make bench``."""
