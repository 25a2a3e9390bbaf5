"""One file per family of attack; each has `ATTACKS`."""
