"""Clock, message envelope, units, errors and exit codes. Imports nothing of ours."""
