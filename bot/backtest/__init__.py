"""What the strategy would have done: one account over candles, in plain functions that a compiler takes as they are.

The cycle is the engine's, decision for decision and order for order; what differs is that money, prices and
lots are whole numbers here, and that nothing is remembered beyond the run. A test holds the two together.
"""
