"""From what a user names to planned recordings: manifests, folders, and what is missing in them."""
