"""Files and disks: the copy with both digests, and what can be asked of a place."""
