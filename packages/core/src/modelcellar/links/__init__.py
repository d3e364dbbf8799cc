"""Where models should stand in applications, and which links there are ours."""
