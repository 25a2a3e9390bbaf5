"""Parties and customers: entering, finding, one view of one, duplicates and merges."""
