"""Links into the folders of applications: what should stand where, and which are ours."""
