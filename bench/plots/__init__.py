"""Owner of `plots/`: one file per figure, rows in, matplotlib figure out."""
