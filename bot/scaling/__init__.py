"""The tier ladder: which rung an equity reaches, when an account moves, what is remembered."""
