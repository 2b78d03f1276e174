"""Alerts: what is told to the user and to outside monitors; nothing here can stop or delay the bot."""
