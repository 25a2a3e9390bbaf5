"""Bills, payments and what is done where nobody pays."""
