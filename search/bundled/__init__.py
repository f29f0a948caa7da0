"""What a bundle carries to a device: one script that needs nothing of ours. `search.bundle` puts it into the zip."""
