"""The evidence chain: from a figure on a bill, of an SLA or of a ticket to the closed rollup it was made of, and from there to flows. Two steps at most."""
