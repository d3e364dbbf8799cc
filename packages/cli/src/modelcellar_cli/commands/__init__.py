"""One module for each verb; each is imported only when its verb is used."""
