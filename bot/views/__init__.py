"""What people and programs are shown: read models, and their rendering as text and JSON."""
