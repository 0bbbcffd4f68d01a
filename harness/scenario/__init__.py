"""What load on which system: two files, strictly validated, resolved to a frozen plan."""
