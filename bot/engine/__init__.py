"""The engine: one cycle of eight steps behind the ports, single-threaded, time injected."""
