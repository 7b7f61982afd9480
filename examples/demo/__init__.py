"""The whole path on real data: train, export, run on eight devices, gossip, withstand an attack, report."""
