"""What things cost: pure functions of quantities and prices, one kind of charge a file. No database, no clock, no binary fractions."""
