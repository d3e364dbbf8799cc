"""What hosts answered: kept on disk, asked for again when it is old, read without trusting it."""
