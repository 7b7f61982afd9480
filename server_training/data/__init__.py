"""Interaction data: readers, the Parquet contract, sequences and splits."""
