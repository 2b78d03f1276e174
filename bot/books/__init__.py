"""The books: fills and flows to positions, trades, P&L, fees and unitised equity. No I/O, no clock."""
