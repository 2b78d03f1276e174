"""A trading bot for very small crypto accounts: a pure decision core in a crash-only shell."""
