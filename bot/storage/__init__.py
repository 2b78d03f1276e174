"""What outlives the process: the ledger, the tier's JSON state, candles, the control queue."""
