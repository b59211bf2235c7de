"""From recorded files to stored sessions."""
