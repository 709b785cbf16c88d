"""What `make bench` runs: speed as ratios, both sides measured side by side in one run."""
