"""The fetcher: what a command's URIs name, brought into its sandbox with the rights of its user."""
