"""How an email's provider is chosen: pure functions of values. No I/O, no clock, no global chance."""
