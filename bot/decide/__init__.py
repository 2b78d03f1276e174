"""The decision core: plain functions over numbers, the same source live, on paper and in replay.

No clock, no I/O, no logging, no randomness, no Decimal. It takes floats and gives back whole
numbers of lots. Written so that it compiles: NamedTuples of numbers, int codes, positional
parameters, indexable sequences (a list or an array serves), NaN for "none".
"""
