"""The nouns of the bot: plain values, no I/O, no clock."""
