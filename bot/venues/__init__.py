"""Accounts at exchanges, real and simulated, behind the Venue port."""
